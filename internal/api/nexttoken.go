package api

import "encoding/base64"

// nextTokenPrefix marks the tokens of lists in the order of names, so that other base64 is refused.
const nextTokenPrefix = "after/"

// EncodeNextToken makes a page's token from its last name, in the characters that the model allows.
func EncodeNextToken(name string) string {
	return base64.StdEncoding.EncodeToString([]byte(nextTokenPrefix + name))
}

// DecodeNextToken returns the name in a token, "" for no token. Its error is an
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
