package administration

import (
	"os"
	"regexp"
	"testing"

	"weir/internal/policy"
)

// The policies in docs/administration.md can be put as they are.
func TestPoliciesOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/administration.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) == 0 {
		t.Fatal("the page shows no policy")
	}
	for _, block := range blocks {
		document, err := policy.Parse(block[1])
		if err != nil {
			t.Errorf("%v in %s", err, block[1])
			continue
		}
		for _, warning := range document.Warnings(actions()) {
			t.Errorf("%s in %s", warning, block[1])
		}
	}
}
