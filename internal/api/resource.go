package api

import "reflect"

// ResourceKind is what kind of thing a call is about.
type ResourceKind uint8

// The kinds of things that calls are about, and the members of inputs that name them.
const (
	// nothing that policies could name: "*" (IAM user guide, "Resource")
	ResourceNone ResourceKind = iota + 1
	// the caller himself: it needs no permission, though a policy may deny it
	ResourceCaller
	ResourceStream    // by StreamName, or by StreamARN or ResourceARN
	ResourceNewStream // by StreamName, of a stream that is to be made
	ResourceStreams   // each by its name, of StreamNames; those that are denied are left out
	ResourceSession   // a playback session, by SessionId: its stream
	ResourceHolder    // who has policies, by UserName, RoleName or ThingName
	ResourceKey       // a key, by its ID, or all keys of a user, by the user's name: the user
	ResourcePolicy    // by PolicyName
	ResourceProvider  // an OpenID Connect provider, by Url
)

// Resource says of an operation what its calls are about, which is what policies decide on.
type Resource struct {
	Kind ResourceKind
	// Members of the input that name it. The first that is given does; when none is given, the call
	// is about all there are: "*".
	Members []string
}

// The resources of the operations.
var (
	aboutNothing = []Resource{{Kind: ResourceNone}}
	aboutCaller  = []Resource{{Kind: ResourceCaller}}

	aboutStream      = []Resource{{ResourceStream, []string{"StreamARN", "StreamName"}}}
	aboutStreamARN   = []Resource{{ResourceStream, []string{"StreamARN"}}}
	aboutResourceARN = []Resource{{ResourceStream, []string{"ResourceARN"}}}
	aboutNewStream   = []Resource{{ResourceNewStream, []string{"StreamName"}}}
	aboutStreams     = []Resource{{ResourceStreams, []string{"StreamNames"}}}
	aboutSessionsOf  = []Resource{{ResourceStream, []string{"StreamName"}}}
	aboutSession     = []Resource{{ResourceSession, []string{"SessionId", "StreamName"}}}

	aboutUser     = []Resource{{ResourceHolder, []string{"UserName"}}}
	aboutRole     = []Resource{{ResourceHolder, []string{"RoleName"}}}
	aboutCamera   = []Resource{{ResourceHolder, []string{"ThingName"}}}
	aboutHolder   = []Resource{{ResourceHolder, []string{"RoleName", "ThingName", "UserName"}}}
	aboutKey      = []Resource{{ResourceKey, []string{"Key"}}}
	aboutPolicy   = []Resource{{ResourcePolicy, []string{"PolicyName"}}}
	aboutProvider = []Resource{{ResourceProvider, []string{"Url"}}}
	// a policy and who has it: both must be allowed
	aboutAttachment = append(aboutHolder[:1:1], aboutPolicy...)
)

// Named returns the member of an input that names the resource, and the name; both are "" when none
// does.
func (r *Resource) Named(input any) (member, name string) {
	in := reflect.ValueOf(input).Elem()
	for _, member := range r.Members {
		if v := in.FieldByName(member); v.Kind() == reflect.String && v.Len() > 0 {
			return member, v.String()
		}
	}
	return "", ""
}
