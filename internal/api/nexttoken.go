package api

import "encoding/base64"

// nextTokenPrefix marks the tokens of lists that are in the order of their names, so that other
// base64 is refused.
const nextTokenPrefix = "after/"

// EncodeNextToken makes a page's token from its last name, with the characters that the model
// allows.
func EncodeNextToken(name string) string {
	return base64.StdEncoding.EncodeToString([]byte(nextTokenPrefix + name))
}

// DecodeNextToken returns the name that a token was made from, "" for no token. Its error is an
// InvalidArgumentException.
func DecodeNextToken(text string) (name string, err error) {
	if text == "" {
		return "", nil
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if n := len(nextTokenPrefix); err == nil && len(data) > n &&
		string(data[:n]) == nextTokenPrefix {
		return string(data[n:]), nil
	}
	return "", NewError(InvalidArgumentException,
		"The NextToken is not one that this server gave out.")
}
