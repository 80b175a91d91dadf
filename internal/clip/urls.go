package clip

import (
	"net/url"
	"strconv"
	"time"

	"weir/internal/api"
)

// LinkPath is the path of linked clips.
const LinkPath = "/clip/v1/getClip.mp4"

// Parameters of URLs. The service's GetClip has none. Its body is as in the service model; these
// are Weir's additions.
const (
	tokenParameter    = "Token"    // of a link
	exactParameter    = "Exact"    // of GetClip: true or false
	keepGapsParameter = "KeepGaps" // likewise
	// linkParameter asks GetClip for a link instead of the clip. The value is how many seconds the
	// link is valid, api.MinExpires to api.MaxExpires.
	linkParameter = "LinkExpires"
)

// LinkOutput is the answer of GetClip when a link is asked for.
type LinkOutput struct {
	ClipURL string `json:"ClipURL"`
}

// URL returns the URL of a link. base is scheme and host. A token needs no escaping.
func URL(base, token string) string { return base + LinkPath + "?" + tokenParameter + "=" + token }

// Query returns the query of a GetClip with Weir's own parameters. With life it asks for a link.
func (r *Request) Query(life time.Duration) string {
	q := url.Values{}
	if r.Exact {
		q.Set(exactParameter, "true")
	}
	if r.KeepGaps {
		q.Set(keepGapsParameter, "true")
	}
	if life > 0 {
		q.Set(linkParameter, strconv.Itoa(int(life/time.Second)))
	}
	return q.Encode()
}

// ParseQuery reads what Query returns into r. It returns how long the link is valid that is
// asked for, 0 for none. Errors are InvalidArgument.
func ParseQuery(query string, r *Request) (life time.Duration, err error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return 0, api.Errorf(api.InvalidArgumentException, "The query cannot be read: %v.", err)
	}
	for name, flag := range map[string]*bool{exactParameter: &r.Exact,
		keepGapsParameter: &r.KeepGaps} {
		switch q.Get(name) {
		case "true":
			*flag = true
		case "", "false":
		default:
			return 0, api.Errorf(api.InvalidArgumentException,
				"The parameter %s is neither true nor false.", name)
		}
	}
	if text := q.Get(linkParameter); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < api.MinExpires || n > api.MaxExpires {
			return 0, api.Errorf(api.InvalidArgumentException,
				"The parameter %s is not a number of seconds from %d to %d.", linkParameter,
				api.MinExpires, api.MaxExpires)
		}
		life = time.Duration(n) * time.Second
	}
	return life, nil
}

// ParseToken reads the token from the query of a link. The error is NotAuthorized if there is none.
func ParseToken(query string) (string, error) {
	q, err := url.ParseQuery(query)
	if err != nil || q.Get(tokenParameter) == "" {
		return "", api.NewError(api.NotAuthorizedException, "The Token parameter is missing.")
	}
	return q.Get(tokenParameter), nil
}
