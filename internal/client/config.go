package client

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// configFile is what the AWS config file has for one profile: its settings, and those of the services that it names.
type configFile struct {
	profile  map[string]string
	services map[string]string // service and setting with a point between: kinesis_video.endpoint_url
}

func (c *configFile) setting(name string) string { return c.profile[name] }

func (c *configFile) service(service, name string) string { return c.services[service+"."+name] }

// config reads the config file. That there is none is no error.
func (e Environment) config() (*configFile, error) {
	path := e.path("AWS_CONFIG_FILE", "config")
	if path == "" {
		return &configFile{}, nil
	}
	text, err := e.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &configFile{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the config file: %w", err)
	}
	sections, err := parseConfig(string(text))
	if err != nil {
		return nil, fmt.Errorf("config file %s: %w", path, err)
	}
	name := e.profile()
	settings, ok := sections["profile "+name]
	if !ok && name == "default" {
		settings = sections["default"]
	}
	c := &configFile{profile: settings}
	if services := settings["services"]; services != "" {
		if c.services, ok = sections["services "+services]; !ok {
			return nil, fmt.Errorf("config file %s: profile %q names the services %q, which are not there", path, name, services)
		}
	}
	return c, nil
}

// parseConfig reads a config file: [section], name = value, and indented lines below a name without a value, which are settings of that
// name. Blank lines and those that begin with # or ; count for nothing.
func parseConfig(text string) (map[string]map[string]string, error) {
	sections := map[string]map[string]string{}
	var current map[string]string
	outer, number := "", 0
	for line := range strings.Lines(text) {
		number++
		indented := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			name, _, ok := strings.Cut(line[1:], "]")
			if !ok {
				return nil, fmt.Errorf("line %d: a [section] does not end in ]", number)
			}
			name = strings.Join(strings.Fields(strings.ReplaceAll(name, `"`, "")), " ")
			if sections[name] == nil {
				sections[name] = map[string]string{}
			}
			current, outer = sections[name], ""
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || current == nil {
			return nil, fmt.Errorf("line %d: neither a [section] nor a name = value in one", number)
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if i := strings.IndexAny(value, "#;"); i > 0 && (value[i-1] == ' ' || value[i-1] == '\t') {
			value = strings.TrimSpace(value[:i])
		}
		switch {
		case indented && outer != "":
			current[outer+"."+name] = value
		default:
			outer = ""
			if value == "" {
				outer = name
			}
			current[name] = value
		}
	}
	return sections, nil
}
