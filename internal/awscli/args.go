//lint:file-ignore ST1005 the texts are those of the AWS command line

package awscli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"weir/internal/api"
)

// ArgumentError is an argument that cannot be read.
type ArgumentError struct {
	Flag string // with its dashes
	Err  error
}

// Error is in the words of the AWS command line.
func (e *ArgumentError) Error() string {
	return fmt.Sprintf("Error parsing parameter '%s': %v", e.Flag, e.Err)
}

// Unwrap is the cause.
func (e *ArgumentError) Unwrap() error { return e.Err }

// Argument makes a value of the words that follow a flag: of several for a list, of one for
// everything else. A word of the form file://name stands for the text of that file.
func Argument(flag string, s *api.Shape, words []string) (Value, error) {
	v, err := argument(s, words)
	if err != nil {
		if s.Kind == api.KindInteger || s.Kind == api.KindLong { // as Python's int() has it
			return nil, err
		}
		return nil, &ArgumentError{flag, err}
	}
	return v, nil
}

func argument(s *api.Shape, words []string) (Value, error) {
	fromFile := false
	if len(words) == 1 {
		text, ok, err := ReadParameter(words[0])
		if err != nil {
			return nil, err
		}
		if ok {
			words, fromFile = []string{text}, true
		}
	}
	first := ""
	if len(words) > 0 {
		first = strings.TrimSpace(words[0])
	}
	json := strings.HasPrefix(first, "{") || strings.HasPrefix(first, "[")
	switch {
	case IsComplex(s) && !json && s.Kind == api.KindList && !fromFile:
		list := make(List, len(words))
		for i, word := range words {
			o, err := parseShorthand(word, readParameter)
			if err != nil {
				return nil, err
			}
			if list[i], err = coerce(o, s.Item); err != nil {
				return nil, err
			}
		}
		return list, nil
	case IsComplex(s) && !json:
		o, err := parseShorthand(words[0], readParameter)
		if err != nil {
			return nil, err
		}
		return coerce(o, s)
	case s.Kind == api.KindList:
		if len(words) == 1 && strings.HasPrefix(first, "[") {
			return jsonArgument(words[0])
		}
		list := make(List, len(words))
		for i, word := range words {
			v, err := plain(s.Item, word)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	}
	return plain(s, words[0])
}

// plain reads a word that is not shorthand.
func plain(s *api.Shape, word string) (Value, error) {
	switch s.Kind {
	case api.KindStructure, api.KindMap:
		if strings.HasPrefix(strings.TrimSpace(word), "{") {
			return jsonArgument(word)
		}
		return nil, fmt.Errorf("Invalid JSON:\n%s", word)
	case api.KindInteger, api.KindLong:
		return ParseInt(word)
	}
	return word, nil
}

func jsonArgument(text string) (Value, error) {
	v, err := parseJSON([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("Invalid JSON: %w\nJSON received: %s", err, text)
	}
	return v, nil
}

// inputJSON reads the value of --cli-input-json: a JSON object, or file:// or fileb:// and the name
// of a file that holds one.
func inputJSON(word string) (*Object, error) {
	text, ok, err := readFile(word, "file://", "fileb://")
	if err != nil {
		return nil, &ArgumentError{"--cli-input-json", err}
	}
	if !ok {
		text = word
	}
	v, err := jsonArgument(text)
	if err != nil {
		return nil, &ArgumentError{"cli-input-json", err}
	}
	o, ok := v.(*Object)
	if !ok {
		return nil, &ArgumentError{"cli-input-json",
			fmt.Errorf(
				"Invalid JSON: a structure is needed, not a value of type %s\nJSON received: %s",
				pythonType(v), text)}
	}
	return o, nil
}

// maxFile bounds the size of a file that stands for an argument, in bytes.
const maxFile = 16 << 20

// ReadParameter reads the file that a word of the form file://name names; ok reports whether it is
// of this form.
func ReadParameter(word string) (text string, ok bool, err error) {
	if strings.HasPrefix(word, "fileb://") {
		return "", false, errors.New("fileb:// is for binary values, and no parameter of this " +
			"API is binary; file:// reads text")
	}
	return readFile(word, "file://")
}

func readParameter(word string) (string, bool, error) { return ReadParameter(word) }

func readFile(word string, prefixes ...string) (string, bool, error) {
	for _, prefix := range prefixes {
		name, ok := strings.CutPrefix(word, prefix)
		if !ok {
			continue
		}
		path := os.ExpandEnv(name)
		if rest, ok := strings.CutPrefix(path, "~/"); ok {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", false, err
			}
			path = filepath.Join(home, rest)
		}
		text, err := readBounded(path)
		if err != nil {
			return "", false, fmt.Errorf("Unable to load paramfile %s: %w", word, err)
		}
		return text, true, nil
	}
	return "", false, nil
}

func readBounded(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		var errno syscall.Errno
		if errors.As(err, &errno) && errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("[Errno %d] No such file or directory: %s", int(errno),
				pythonInner(path))
		}
		return "", err
	}
	if info.Size() > maxFile {
		return "", fmt.Errorf("the file is larger than %d bytes", maxFile)
	}
	text, err := os.ReadFile(path)
	return string(text), err
}
