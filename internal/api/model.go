package api

import (
	"regexp"
	"strings"
)

// Kind is the type of a shape in the service models.
type Kind uint8

// The kinds that the models of Kinesis Video Streams use.
const (
	KindString Kind = iota
	KindInteger
	KindLong
	KindTimestamp
	KindStructure
	KindList
	KindMap // from string to string
)

// String names a kind as the AWS documentation does.
func (k Kind) String() string {
	return [...]string{"string", "integer", "long", "timestamp", "structure", "list", "map"}[k]
}

// Shape is the type of a value, and what the model demands of it.
type Shape struct {
	Kind Kind
	Name string // in the service model
	// Min and Max bound a number, or a length: characters of a string, items of a list or map. A
	// length with Max 0 has no upper bound, a number with both 0 has no bounds.
	Min, Max int64
	Pattern  *Pattern // of a string; nil: any text
	Document bool     // the string is a JSON document, which people keep in a file
	Enum     []string // the values of a string; nil: any
	Members  []Member // of a structure, in the order of the model
	Key      *Shape   // of a map
	Item     *Shape   // of a list, or the values of a map
}

// Bounded reports whether a number has bounds.
func (s *Shape) Bounded() bool { return s.Min != 0 || s.Max != 0 }

// Member is a member of a structure.
type Member struct {
	Name     string // on the wire
	Shape    *Shape
	Required bool
	Header   string // the header that has the member; "": it is in the JSON body
	Flag     string // on the command line; "": the name, with hyphens
	Doc      string // one line for people; may be empty in outputs
}

// Member returns the member of a structure with that name, or nil.
func (s *Shape) Member(name string) *Member {
	for i := range s.Members {
		if s.Members[i].Name == name {
			return &s.Members[i]
		}
	}
	return nil
}

// Pattern is a regular expression of the model. It must match the whole value.
type Pattern struct {
	text string
	re   *regexp.Regexp
}

// newPattern compiles a pattern whose syntax means the same in Java, for which the models are
// written, and in Go.
func newPattern(text string) *Pattern {
	return &Pattern{text: text, re: regexp.MustCompile(`\A(?:` + text + `)\z`)}
}

// String returns the pattern as the model and error messages have it.
func (p *Pattern) String() string { return p.text }

// Service is the part of the API that an operation belongs to. At AWS each has its own endpoint;
// one Weir process serves them all.
type Service uint8

// The services, and the models that describe them.
const (
	Control        Service = iota // streams and signaling channels
	ArchivedMedia                 // playback of what is stored
	Media                         // the media itself
	Signaling                     // WebRTC signaling
	WebRTCStorage                 // WebRTC ingestion
	Administration                // keys, policies and roles: Weir's own, in no model of AWS
)

// String names the service as its model does. PutMedia is in no model; the developer guide counts
// it as kinesis-video-media.
func (s Service) String() string {
	return [...]string{"kinesisvideo", "kinesis-video-archived-media", "kinesis-video-media",
		"kinesis-video-signaling", "kinesis-video-webrtc-storage", "weir"}[s]
}

// Operation is a row of the table: an operation of the API. All are POST.
type Operation struct {
	Name    string  // as SDKs and IAM policies spell it
	Path    string  // case-sensitive at AWS
	Service Service // which endpoint has it

	// The rest is set for operations that Weir serves.

	// Resources are what a call is about. Its caller must be allowed the action on each of them.
	Resources []Resource
	// Command is the operation's name on the command line, such as "keys create"; "": its name,
	// with hyphens.
	Command string
	// Words are members of the input, in order, that the command line takes without flags.
	Words   []string
	Doc     string // what it does, one line
	Example string // a command line that works; "" for PutMedia, whose input is no command line
	Input   *Shape // a structure
	// a structure, maybe without members; nil for PutMedia, whose answer is acknowledgements
	Output *Shape
	Paging *Paging
	// Credentials says that the output is a key pair with its user's name.
	Credentials bool
	// Streams says that the body of the answer is not JSON but media: the member of the output that
	// the model calls Payload. The other members of Output are headers.
	Streams bool
	// DataAPI is the APIName with which GetDataEndpoint is called before the operation; "" at the
	// control endpoint.
	DataAPI string
	// NewInput makes the struct for the JSON body; nil for PutMedia, whose input is in its headers.
	NewInput func() Input
}

// Paging says how to get the pages of an operation (the SDKs' paginators).
type Paging struct {
	InputToken, OutputToken string // members of input and output
	Limit                   string // member of the input: the size of a page
	Result                  string // member of the output: the list
}

// Served reports whether Weir serves the operation.
func (op *Operation) Served() bool { return op.Input != nil }

// Action is the operation's name in IAM policies ("Actions, resources, and condition keys for
// Amazon Kinesis Video Streams" of the Service Authorization Reference), with the same prefix for
// all five services. Weir's own administration has the prefix weir.
func (op *Operation) Action() string {
	if op.Service == Administration {
		return "weir:" + op.Name
	}
	return "kinesisvideo:" + op.Name
}

// Operations is the table. It is shared: callers must not change it.
func Operations() []*Operation { return operations }

// Find returns the operation with that name, or nil.
func Find(name string) *Operation { return byName[name] }

var byName = func() map[string]*Operation {
	m := make(map[string]*Operation, len(operations))
	for _, op := range operations {
		m[op.Name] = op
	}
	return m
}()

// UnknownOperation is the error for a path that no served operation has. It distinguishes an
// operation that Weir does not have from a wrong path, and names the right spelling when only the
// case is wrong (a common mistake: /GetHLSStreamingSessionURL). AWS answers 200 with a body that
// clients take for an empty result.
func UnknownOperation(path string) *Error {
	for _, op := range operations {
		switch {
		case !strings.EqualFold(op.Path, path):
		case op.Served():
			return Errorf(UnknownOperationException,
				"There is no operation at this path; the path of %s is %s.", op.Name, op.Path)
		default:
			return Errorf(UnknownOperationException,
				"%s is an operation of Kinesis Video Streams that Weir does not have.", op.Name)
		}
	}
	return Errorf(UnknownOperationException, "There is no operation at the path '%s'.", echo(path))
}
