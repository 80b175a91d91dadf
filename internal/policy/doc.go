// Package policy reads IAM policy documents and decides by them. It does no I/O: documents are
// bytes, and a decision is a function of a request and of the documents that hold for it.
//
// The language is that of the IAM user guide, "IAM JSON policy element reference": its pages
// "Grammar of the IAM JSON policy language", "Condition operators", "Single-valued vs. multivalued
// context keys", "Variables and tags" and "Policy evaluation logic". docs/policies.md says what
// Weir understands of it. Parse refuses everything else, with the place and the reason, so no
// document grants or denies anything but what it says.
//
// Where the guide leaves open what a statement means, a statement that allows does not apply and
// one that denies does.
package policy
