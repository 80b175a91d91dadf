package api

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestOperations(t *testing.T) {
	paths, names := map[string]bool{}, map[string]bool{}
	perService := map[Service]int{}
	for _, op := range Operations() {
		if paths[op.Path] || names[op.Name] {
			t.Errorf("%s or its path %s is there twice", op.Name, op.Path)
		}
		paths[op.Path], names[op.Name] = true, true
		perService[op.Service]++
		if op.NewInput != nil {
			if got := reflect.TypeOf(op.NewInput()).Elem().Name(); got != op.Name+"Input" {
				t.Errorf("%s decodes into %s", op.Name, got)
			}
		}
	}
	delete(perService, Administration) // no model counts them
	// PutMedia counted with Media
	want := map[Service]int{Control: 32, ArchivedMedia: 6, Media: 2, Signaling: 2, WebRTCStorage: 2}
	if !maps.Equal(perService, want) {
		t.Errorf("operations by service: %v, want %v", perService, want)
	}
}

// Every member of the table has a field with its name and kind, and every field of an input has a
// member.
func TestInputsFollowTheTable(t *testing.T) {
	for _, op := range Operations() {
		if op.NewInput != nil {
			followsTable(t, op.Name, op.Input, reflect.TypeOf(op.NewInput()).Elem())
		}
	}
}

func followsTable(t *testing.T, path string, s *Shape, typ reflect.Type) {
	t.Helper()
	fields := 0
	for _, f := range reflect.VisibleFields(typ) {
		if f.IsExported() && !f.Anonymous {
			fields++
		}
	}
	if fields != len(s.Members) {
		t.Errorf("%s has %d fields and %d members", path, fields, len(s.Members))
	}
	for _, m := range s.Members {
		f, ok := typ.FieldByName(m.Name)
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); !ok || name != m.Name {
			t.Errorf("%s has no field %s, or its JSON name is %q", path, m.Name, name)
			continue
		}
		kinds := map[Kind][]reflect.Kind{
			KindString: {reflect.String}, KindInteger: {reflect.Int}, KindLong: {reflect.Int},
			KindTimestamp: {reflect.Pointer},
			KindStructure: {reflect.Pointer}, KindList: {reflect.Slice}, KindMap: {reflect.Map},
		}
		if !slices.Contains(kinds[m.Shape.Kind], f.Type.Kind()) {
			t.Errorf("%s.%s is a %s in the table and a %s in Go", path, m.Name, m.Shape.Kind,
				f.Type)
			continue
		}
		switch {
		case m.Shape.Kind == KindStructure:
			followsTable(t, path+"."+m.Name, m.Shape, f.Type.Elem())
		case m.Shape.Kind == KindList && m.Shape.Item.Kind == KindStructure:
			followsTable(t, path+"."+m.Name, m.Shape.Item, f.Type.Elem())
		}
	}
}

func TestUnknownOperation(t *testing.T) {
	for path, want := range map[string]string{
		"/joinStorageSessionAsViewer": "JoinStorageSessionAsViewer is an operation of Kinesis " +
			"Video Streams that " +
			"Weir does not have.",
		"/JoinStorageSession": "JoinStorageSession is an operation of Kinesis Video Streams that " +
			"Weir does not have.",
		"/joinStorageSession": "JoinStorageSession is an operation of Kinesis Video Streams " +
			"that Weir does not have.",
		"/GetHLSStreamingSessionURL": "There is no operation at this path; the path of " +
			"GetHLSStreamingSessionURL is /getHLSStreamingSessionURL.",
		"/tagResource": "There is no operation at this path; the path of " +
			"TagResource is /TagResource.",
		"/nothing": "There is no operation at the path '/nothing'.",
		"/" + strings.Repeat("x", 1e5): "There is no operation at the path '/" +
			strings.Repeat("x", 511) + "...'.",
	} {
		if e := UnknownOperation(path); e.Code != UnknownOperationException || e.Message != want {
			t.Errorf("%.100s: %v", path, e)
		}
	}
}

func TestARN(t *testing.T) {
	text := FormatARN("us-west-2", "123456789012", "cam", 1705489836421)
	if text != testARN {
		t.Errorf("formatted %s", text)
	}
	got, err := ParseARN(text)
	want := ARN{"aws", "us-west-2", "123456789012", arnStream, "cam", 1705489836421}
	if err != nil || got != want {
		t.Errorf("parsed %+v, %v", got, err)
	}
	if got, err := ParseARN(
		"arn:aws-us-gov:kinesisvideo:us-gov-west-1:1:channel/a.b_c-d/7"); err != nil ||
		got != (ARN{"aws-us-gov", "us-gov-west-1", "1", "channel", "a.b_c-d", 7}) {
		t.Errorf("parsed %+v, %v", got, err)
	}
	for _, bad := range []string{
		"", "cam", testARN + "\n", testARN + "/x", "arn:aws:kinesis:us-west-2:1:stream/cam/1",
		"arn:aws:kinesisvideo:us-west-2::stream/cam/1",
		"arn:aws:kinesisvideo:us-west-2:1:stream/cam", "arn:aws:kinesisvideo:us-west-2:1:stream//1",
		"arn:aws:kinesisvideo:us-west-2:1:stream/a b/1",
		"arn:aws:kinesisvideo:us-west-2:1:stream/cam/-1",
		"arn:aws:kinesisvideo:us-west-2:1:stream/cam/99999999999999999999",
		"arn:aws:kinesisvideo:us-west-2:1:stream/" + strings.Repeat("a", 1024) + "/1",
	} {
		if a, err := ParseARN(bad); !errors.Is(err, &Error{Code: InvalidArgumentException}) {
			t.Errorf("%.60q: %+v, %v", bad, a, err)
		}
	}
}

// Every served operation says what it is about, by members that it has, and leaves out no member
// that names a thing.
func TestResourcesFollowTheTable(t *testing.T) {
	named := map[string]bool{"SessionId": true}
	for _, op := range Operations() {
		for _, r := range op.Resources {
			for _, m := range r.Members {
				named[m] = true
			}
		}
	}
	filters := map[string][]string{"ListAuditEvents": {"StreamName"}} // of what is listed
	for _, op := range Operations() {
		if !op.Served() {
			continue
		}
		members := filters[op.Name]
		for _, r := range op.Resources {
			if r.Kind == 0 {
				t.Errorf("%s is about a thing of no kind", op.Name)
			}
			for _, m := range r.Members {
				if op.Input.Member(m) == nil {
					t.Errorf("%s is about %s, which it does not have", op.Name, m)
				}
			}
			members = append(members, r.Members...)
		}
		if len(op.Resources) == 0 {
			t.Errorf("%s does not say what it is about", op.Name)
		}
		for _, m := range op.Input.Members {
			if named[m.Name] && !slices.Contains(members, m.Name) {
				t.Errorf("%s has %s and is not about it", op.Name, m.Name)
			}
		}
		if op.NewInput != nil { // of every type that is read
			in := op.NewInput()
			TagsOf(in)
			for i := range op.Resources {
				if m, name := op.Resources[i].Named(in); m != "" || name != "" {
					t.Errorf("%s: an empty input names %q by %s", op.Name, name, m)
				}
			}
		}
	}
}

// A call is about what its input names first. Its tags are those that it sets or removes.
func TestWhatACallIsAbout(t *testing.T) {
	for _, c := range []struct {
		operation, body, want string
	}{
		{"DescribeStream", `{"StreamName":"a"}`, "StreamName a"},
		{"DescribeStream", `{"StreamARN":"arn:b"}`, "StreamARN arn:b"},
		{"CloseSessions", `{"StreamName":"a","SessionId":"0f"}`, "SessionId 0f"},
		{"AttachPolicy", `{"ThingName":"a","PolicyName":"p"}`, "ThingName a PolicyName p"},
		{"ListSessions", `{}`, " "},
		{"TagStream", `{"StreamName":"a","Tags":{"k":"v"}}`, "StreamName a map[k:v] []"},
		{"TagResource", `{"ResourceARN":"r","Tags":[{"Key":"k","Value":"v"}]}`,
			"ResourceARN r map[k:v] []"},
		{"UntagUser", `{"UserName":"u","TagKeys":["k"]}`, "UserName u map[] [k]"},
		{"UntagStream", `{"StreamName":"a","TagKeyList":["k"]}`, "StreamName a map[] [k]"},
	} {
		op := Find(c.operation)
		in := op.NewInput()
		if err := DecodeJSON([]byte(c.body), in); err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range op.Resources {
			member, name := op.Resources[i].Named(in)
			got = append(got, member+" "+name)
		}
		if set, removed := TagsOf(in); len(set)+len(removed) > 0 {
			got = append(got, fmt.Sprint(set, " ", removed))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s %s: %q, want %q", c.operation, c.body, text, c.want)
		}
	}
}
