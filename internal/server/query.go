package server

import (
	"net/url"
	"strconv"
	"strings"

	"weir/internal/api"
)

// lookUp gives the last value of a parameter in the query of a URL, and how often it is there. It reads as url.ParseQuery does, which
// leaves out what is malformed, without a table of all parameters: a request for a segment has five.
func lookUp(query, name string) (value string, times int) {
	for pair := range strings.SplitSeq(query, "&") {
		key, text, _ := strings.Cut(pair, "=")
		if key != name {
			var err error
			if key, err = url.QueryUnescape(key); err != nil || key != name {
				continue
			}
		}
		text, err := url.QueryUnescape(text)
		if err != nil || strings.Contains(pair, ";") {
			continue
		}
		value, times = text, times+1
	}
	return value, times
}

// sessionToken is the only right that a session action needs.
func sessionToken(req *request) (string, error) {
	token, err := parameter(req, "SessionToken", false)
	if err == nil && token == "" {
		err = api.NewError(api.NotAuthorizedException, "The SessionToken parameter is missing.")
	}
	return token, err
}

// parameter reads a query parameter that may be given once.
func parameter(req *request, name string, required bool) (string, error) {
	value, times := lookUp(req.URL.RawQuery, name)
	if times > 1 {
		return "", api.Errorf(api.InvalidArgumentException, "The parameter %s is given more than once.", name)
	}
	if value == "" && required {
		return "", api.Errorf(api.InvalidArgumentException, "The parameter %s is missing.", name)
	}
	return value, nil
}

// numberParameter reads a query parameter that is a small decimal number; 0 when it is absent.
func numberParameter(req *request, name string, required bool) (int, error) {
	text, err := parameter(req, name, required)
	if err != nil || text == "" {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, api.Errorf(api.InvalidArgumentException, "The parameter %s is not a decimal number.", name)
	}
	return int(n), nil
}
