package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Context has the condition keys of a request: their names in lower case, as from Key, and their
// values. A key that is missing, or has no values, is absent from the request.
type Context map[string][]string

// Key returns a condition key in the form of a Context: names are compared without case, including
// those of tags (IAM user guide, "IAM JSON policy elements: Condition").
func Key(name string) string { return strings.ToLower(name) }

// Set puts a condition key into a context.
func (c Context) Set(name string, values ...string) { c[Key(name)] = values }

// SetTags puts tags into a context, under keys with a prefix such as "aws:ResourceTag/". Tags whose
// keys differ only in case become one key with all their values, so that no condition depends on
// which tag came last.
func (c Context) SetTags(prefix string, tags map[string]string) {
	for tag := range tags {
		delete(c, Key(prefix+tag))
	}
	for tag, value := range tags {
		if key := Key(prefix + tag); !slices.Contains(c[key], value) {
			c[key] = append(c[key], value)
		}
	}
}

// conditionKey is a key as a document names it.
type conditionKey struct {
	name string // lower case
	many bool   // a request may have several values
}

// single, many and tagged say what a request has of a key: one value, several, or one for each tag
// key that follows a slash.
type keyForm int

const (
	single keyForm = iota
	many
	tagged
)

// knownKeys are the keys that a document may name, in lower case: those that Weir puts into
// requests, and those of IAM (user guide, "AWS global condition context keys") that no request to
// Weir has, since there is no organization, no VPC and no MFA device. Those are absent here as they
// are at AWS for such a request. docs/policies.md tells them apart.
var knownKeys = map[string]keyForm{
	"aws:currenttime":       single,
	"aws:epochtime":         single,
	"aws:principalaccount":  single,
	"aws:principalarn":      single,
	"aws:principaltag":      tagged,
	"aws:principaltype":     single,
	"aws:requestedregion":   single,
	"aws:requesttag":        tagged,
	"aws:resourceaccount":   single,
	"aws:resourcetag":       tagged,
	"aws:securetransport":   single,
	"aws:sourceip":          single,
	"aws:tagkeys":           many,
	"aws:tokenissuetime":    single,
	"aws:useragent":         single,
	"aws:userid":            single,
	"aws:username":          single,
	"aws:federatedprovider": single,
	"aws:sourceidentity":    single,
	"aws:referer":           single,

	"credentials-iot:thingname":        single,
	"credentials-iot:thingtypename":    single,
	"credentials-iot:awscertificateid": single,

	"sts:externalid":        single,
	"sts:rolesessionname":   single,
	"sts:sourceidentity":    single,
	"sts:transitivetagkeys": many,

	"aws:assumedroot":                  single,
	"aws:calledvia":                    many,
	"aws:calledviafirst":               single,
	"aws:calledvialast":                single,
	"aws:ec2instancesourceprivateipv4": single,
	"aws:ec2instancesourcevpc":         single,
	"aws:multifactorauthage":           single,
	"aws:multifactorauthpresent":       single,
	"aws:principalisawsservice":        single,
	"aws:principalorgid":               single,
	"aws:principalorgpaths":            many,
	"aws:principalservicename":         single,
	"aws:principalservicenameslist":    many,
	"aws:resourceorgid":                single,
	"aws:resourceorgpaths":             many,
	"aws:sourceaccount":                single,
	"aws:sourcearn":                    single,
	"aws:sourceorgid":                  single,
	"aws:sourceorgpaths":               many,
	"aws:sourcevpc":                    single,
	"aws:sourcevpcarn":                 single,
	"aws:sourcevpce":                   single,
	"aws:viaawsservice":                single,
	"aws:vpceaccount":                  single,
	"aws:vpceorgid":                    single,
	"aws:vpceorgpaths":                 many,
	"aws:vpcsourceip":                  single,
}

// Reserved reports whether condition keys with this word before the colon belong to the policy
// language ("aws", "sts"), so that nobody else may use it. Its case does not matter.
func Reserved(word string) bool {
	for key := range knownKeys {
		if strings.HasPrefix(key, strings.ToLower(word)+":") {
			return true
		}
	}
	return false
}

// parseKey reads the name of a condition key. It refuses unknown keys: a condition on one would
// never hold, so a statement that denies would do nothing, and nobody would notice. The error is
// the reason.
func parseKey(name string) (conditionKey, error) {
	lower := Key(name)
	base, tag, hasTag := strings.Cut(lower, "/")
	form, known := knownKeys[base]
	switch {
	case strings.ContainsAny(name, "${}*?"):
		return conditionKey{}, errors.New("a condition key has no variables and no wildcards")
	case known && form == tagged && tag == "":
		return conditionKey{}, fmt.Errorf("%s needs a tag key: %s/site", name, base)
	case known && hasTag == (form == tagged):
		return conditionKey{lower, form == many}, nil
	case isClaim(lower):
		return conditionKey{lower, strings.HasSuffix(lower, ":amr")}, nil
	}
	return conditionKey{}, fmt.Errorf("%q is not a condition key that Weir knows", name)
}

// isClaim reports whether a key is a claim of an OpenID Connect provider: the issuer without its
// scheme, a colon, the claim (IAM user guide, "Available keys for AWS OIDC federation").
func isClaim(key string) bool {
	colon := strings.LastIndexByte(key, ':')
	if colon < 0 {
		return false
	}
	issuer, claim := key[:colon], key[colon+1:]
	host, _, _ := strings.Cut(issuer, "/")
	if host != "localhost" && !strings.ContainsAny(host, ".:") {
		return false // the namespace of a service
	}
	return claim != "" && !strings.ContainsFunc(issuer+claim, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"'\,`, r)
	})
}
