package policy

// Limits of documents. They are here because the package imports nothing of ours.
const (
	// MaxDocument is the size of a document in characters without white space outside of strings.
	// Source: IAM user guide, "IAM and AWS STS quotas", managed policy size.
	MaxDocument = 6144
	// maxTrust is the same of a role's trust policy. Source: the same page, role trust policy
	// length, as far as the quota can be raised.
	maxTrust = 8192
	// maxText is the size of either in bytes with white space: Weir's own, before anything is
	// parsed.
	maxText = 64 << 10
	// maxDepth is how deep a document nests: Statement, a statement, Condition, an operator, a key,
	// its values, and the document around them.
	maxDepth = 7
)
