package mediahttp

import "bytes"

// What a byte may be part of.
const (
	ofText = 1 << iota // a request line, the value of a field: printable ASCII
	ofName             // the name of a field: letters, digits, hyphens
	ofHost             // the value of Host: names and addresses with their port
)

var classes = func() (c [256]uint8) {
	for b := range c {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '-':
			c[b] = ofText | ofName | ofHost
		case b == '.', b == ':', b == '_', b == '[', b == ']':
			c[b] = ofText | ofHost
		case b >= ' ' && b <= '~':
			c[b] = ofText
		}
	}
	return c
}()

// all reports whether every byte of text is of the class.
func all(text []byte, class uint8) bool {
	for _, b := range text {
		if classes[b]&class == 0 {
			return false
		}
	}
	return true
}

// usual reports whether a head, with the empty line at its end, is spelt as all the world spells them, and has one Host. http.ReadRequest
// lets more pass than a server may (RFC 9112 sections 3.2 and 5.1).
func usual(head []byte) bool {
	line, fields, _ := bytes.Cut(head, []byte("\r\n"))
	if !all(line, ofText) {
		return false
	}
	hosts := 0
	for len(fields) > len("\r\n") {
		line, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, colon := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		class := uint8(ofText)
		if bytes.EqualFold(name, []byte("Host")) {
			hosts++
			class = ofHost
		}
		if !colon || !all(name, ofName) || !all(value, class) {
			return false
		}
	}
	return hosts == 1
}
