package api

import "strconv"

// TagStreamInput is the body of /tagStream. Tags are added to the stream's; a key that is there already gets the new value.
type TagStreamInput struct {
	given
	StreamRef
	Tags map[string]string `json:"Tags,omitempty"` // required, 1 to 50
}

// Validate applies the model's constraints; exactly one of name and ARN must be given. That the stream ends up with at most
// MaxStreamTags is for the caller, who knows those it has (TagsPerResourceExceededLimitException).
func (in *TagStreamInput) Validate() error {
	c := in.check()
	c.stream(in.StreamRef)
	c.required("Tags", in.Tags != nil)
	c.tagMap("Tags", in.Tags)
	if err := c.err(); err != nil {
		return err
	}
	return in.exactlyOne()
}

// TagStreamOutput answers /tagStream: {}.
type TagStreamOutput struct{}

// UntagStreamInput is the body of /untagStream. Keys that the stream does not have are ignored.
type UntagStreamInput struct {
	given
	StreamRef
	TagKeyList []string `json:"TagKeyList,omitempty"` // required, 1 to 50
}

// Validate applies the model's constraints; exactly one of name and ARN must be given.
func (in *UntagStreamInput) Validate() error {
	c := in.check()
	c.stream(in.StreamRef)
	c.required("TagKeyList", in.TagKeyList != nil)
	c.tagKeys("TagKeyList", in.TagKeyList)
	if err := c.err(); err != nil {
		return err
	}
	return in.exactlyOne()
}

// UntagStreamOutput answers /untagStream: {}.
type UntagStreamOutput struct{}

// ListTagsForStreamInput is the body of /listTagsForStream.
type ListTagsForStreamInput struct {
	given
	StreamRef
	NextToken string `json:"NextToken,omitempty"` // a stream's tags fit one page, so Weir never gives one out
}

// Validate applies the model's constraints; exactly one of name and ARN must be given.
func (in *ListTagsForStreamInput) Validate() error {
	c := in.check()
	c.text("NextToken", in.NextToken, shapeNextToken)
	c.stream(in.StreamRef)
	if err := c.err(); err != nil {
		return err
	}
	return in.exactlyOne()
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

// Validate applies the model's constraints, and refuses a key that is given twice.
func (in *TagResourceInput) Validate() error {
	c := in.check()
	c.required("ResourceARN", in.ResourceARN != "")
	c.text("ResourceARN", in.ResourceARN, shapeResourceARN)
	c.required("Tags", in.Tags != nil)
	if in.Tags != nil {
		c.size("Tags", "["+strconv.Itoa(len(in.Tags))+" tags]", len(in.Tags), 1, MaxStreamTags)
	}
	for i, t := range in.Tags {
		if i > MaxStreamTags { // the size is refused already; the rest would only make the message longer
			break
		}
		path := "Tags." + strconv.Itoa(i+1) + ".member"
		c.required(path+".Key", t.Key != "")
		c.text(path+".Key", t.Key, shapeTagKey)
		// An input that was not decoded cannot tell an absent value from an empty one, which is legal.
		if in.zeros != nil {
			c.required(path+".Value", t.Value != "")
		}
		c.text(path+".Value", t.Value, shapeTagValue)
	}
	if err := c.err(); err != nil {
		return err
	}
	seen := make(map[string]bool, len(in.Tags))
	for _, t := range in.Tags {
		if seen[t.Key] {
			return Errorf(InvalidArgumentException, "The tag key '%s' is given more than once.", t.Key)
		}
		seen[t.Key] = true
	}
	return nil
}

// Map gives the tags as TagStream has them.
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

// Validate applies the model's constraints.
func (in *UntagResourceInput) Validate() error {
	c := in.check()
	c.required("ResourceARN", in.ResourceARN != "")
	c.text("ResourceARN", in.ResourceARN, shapeResourceARN)
	c.required("TagKeyList", in.TagKeyList != nil)
	c.tagKeys("TagKeyList", in.TagKeyList)
	return c.err()
}

// UntagResourceOutput answers /UntagResource: {}.
type UntagResourceOutput struct{}

// ListTagsForResourceInput is the body of /ListTagsForResource.
type ListTagsForResourceInput struct {
	given
	ResourceARN string `json:"ResourceARN,omitempty"` // required
	NextToken   string `json:"NextToken,omitempty"`
}

// Validate applies the model's constraints.
func (in *ListTagsForResourceInput) Validate() error {
	c := in.check()
	c.text("NextToken", in.NextToken, shapeNextToken)
	c.required("ResourceARN", in.ResourceARN != "")
	c.text("ResourceARN", in.ResourceARN, shapeResourceARN)
	return c.err()
}

// ListTagsForResourceOutput answers /ListTagsForResource. Tags must not be nil: clients iterate it.
type ListTagsForResourceOutput struct {
	NextToken *string           `json:"NextToken"` // always null
	Tags      map[string]string `json:"Tags"`
}
