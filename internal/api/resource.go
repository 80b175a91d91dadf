package api

import "reflect"

// ResourceKind is the kind of thing that a call is about.
type ResourceKind uint8

// The kinds of things that calls are about, and the members of inputs that name them.
const (
	// nothing that policies could name: "*" (IAM user guide, "Resource")
	ResourceNone ResourceKind = iota + 1
	// the caller itself: it needs no permission, though a policy may deny it
	ResourceCaller
	ResourceStream    // by StreamName, or by StreamARN or ResourceARN
	ResourceNewStream // by StreamName; the stream is to be created
	ResourceStreams   // each of StreamNames; those that are denied are left out
	ResourceSession   // a playback session, by SessionId: its stream
	ResourceHolder    // a holder of policies, by UserName, RoleName or ThingName
	ResourceKey       // the user of a key, by the key's ID or the user's name
	ResourcePolicy    // by PolicyName
	ResourceProvider  // an OpenID Connect provider, by Url
)

// Resource says what an operation's calls are about, on which policies decide.
type Resource struct {
	Kind ResourceKind
	// Members of the input that name it; the first one that is given counts. When none is given,
	// the call is about all there are: "*".
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
	// a policy and its holder: both must be allowed
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
