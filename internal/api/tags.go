package api

import "reflect"

// TagStreamInput is the body of /tagStream. Tags are added to the stream's; existing keys get the
// new value. The caller, who knows the stream's tags, makes sure that there are at most
// MaxStreamTags.
type TagStreamInput struct {
	given
	StreamRef
	Tags map[string]string `json:"Tags,omitempty"` // required, 1 to 50
}

// TagStreamOutput answers /tagStream: {}.
type TagStreamOutput struct{}

// UntagStreamInput is the body of /untagStream. Keys that the stream does not have are ignored.
type UntagStreamInput struct {
	given
	StreamRef
	TagKeyList []string `json:"TagKeyList,omitempty"` // required, 1 to 50
}

// UntagStreamOutput answers /untagStream: {}.
type UntagStreamOutput struct{}

// ListTagsForStreamInput is the body of /listTagsForStream.
type ListTagsForStreamInput struct {
	given
	StreamRef
	// a stream's tags fit into one page, so Weir never returns a token
	NextToken string `json:"NextToken,omitempty"`
}

// ListTagsForStreamOutput answers /listTagsForStream. Tags must not be nil: clients iterate it.
type ListTagsForStreamOutput struct {
	NextToken *string           `json:"NextToken"` // always null
	Tags      map[string]string `json:"Tags"`
}

// Tag is an element of TagResourceInput.Tags.
type Tag struct {
	Key   string `json:"Key"`   // required
	Value string `json:"Value"` // required, may be ""
}

// TagResourceInput is the body of /TagResource, which takes any resource's ARN and tags as a list.
type TagResourceInput struct {
	given
	ResourceARN string `json:"ResourceARN,omitempty"` // required
	Tags        []Tag  `json:"Tags,omitempty"`        // required, 1 to 50
}

// rules refuses a key that occurs twice.
func (in *TagResourceInput) rules() error {
	seen := make(map[string]bool, len(in.Tags))
	for _, t := range in.Tags {
		if seen[t.Key] {
			return Errorf(InvalidArgumentException, "The tag key '%s' is given more than once.",
				t.Key)
		}
		seen[t.Key] = true
	}
	return nil
}

// Map returns the tags as in TagStream.
func (in *TagResourceInput) Map() map[string]string {
	m := make(map[string]string, len(in.Tags))
	for _, t := range in.Tags {
		m[t.Key] = t.Value
	}
	return m
}

// TagResourceOutput answers /TagResource: {}.
type TagResourceOutput struct{}

// UntagResourceInput is the body of /UntagResource.
type UntagResourceInput struct {
	given
	ResourceARN string   `json:"ResourceARN,omitempty"` // required
	TagKeyList  []string `json:"TagKeyList,omitempty"`  // required, 1 to 50
}

// UntagResourceOutput answers /UntagResource: {}.
type UntagResourceOutput struct{}

// ListTagsForResourceInput is the body of /ListTagsForResource.
type ListTagsForResourceInput struct {
	given
	ResourceARN string `json:"ResourceARN,omitempty"` // required
	NextToken   string `json:"NextToken,omitempty"`
}

// ListTagsForResourceOutput answers /ListTagsForResource. Tags must not be nil: clients iterate it.
type ListTagsForResourceOutput struct {
	NextToken *string           `json:"NextToken"` // always null
	Tags      map[string]string `json:"Tags"`
}

// TagsOf returns the tags that a call's input sets, and the keys of those that it removes.
func TagsOf(input any) (set map[string]string, removed []string) {
	if in, ok := input.(*TagResourceInput); ok {
		return in.Map(), nil
	}
	in := reflect.ValueOf(input).Elem()
	if tags := in.FieldByName("Tags"); tags.IsValid() {
		set = tags.Interface().(map[string]string)
	}
	for _, name := range []string{"TagKeyList", "TagKeys"} {
		if keys := in.FieldByName(name); keys.IsValid() {
			removed = keys.Interface().([]string)
		}
	}
	return set, removed
}
