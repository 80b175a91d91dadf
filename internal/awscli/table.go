//lint:file-ignore ST1005 the texts are those of the AWS command line

package awscli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// writeTable prints a value like --output table of the AWS command line: a box for each structure,
// members sorted by name. If a table is wider than width columns, it shows structures that are not
// in a list with one member on each line. An empty value prints nothing.
func writeTable(w io.Writer, title string, v Value, width int) error {
	t := &table{}
	if err := t.build(&title, v, 0); err != nil {
		return err
	}
	if len(t.sections) == 0 {
		return nil
	}
	total := t.width()
	if total > width {
		for i, s := range t.sections {
			t.sections[i] = s.vertical()
		}
		total = t.width()
	}
	var b strings.Builder
	b.WriteString(strings.Repeat("-", total) + "\n")
	for _, s := range t.sections {
		s.render(&b, total)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type table struct {
	sections []*section
}

// section is one box: a title, the names of the columns, and rows.
type section struct {
	title   string
	headers []string
	rows    [][]string
	indent  int
	widths  []int // of the columns, without padding
	columns int
}

func isEmpty(v Value) bool {
	switch v := v.(type) {
	case *Object:
		return len(v.Members) == 0
	case List:
		return len(v) == 0
	case string:
		return v == ""
	case bool:
		return !v
	case nil:
		return true
	}
	return python(v) == "0" || python(v) == "0.0"
}

func (t *table) section(title string, indent int) {
	t.sections = append(t.sections, &section{title: title, indent: indent})
}

func (t *table) header(names []string) {
	s := t.sections[len(t.sections)-1]
	s.measure(names)
	if s.columns == 0 {
		s.columns = len(names)
	}
	s.headers = names
}

func (t *table) row(values ...Value) error {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = python(v)
	}
	return t.sections[len(t.sections)-1].row(words)
}

func (s *section) row(words []string) error {
	if s.columns == 0 {
		s.columns = len(words)
	}
	if len(words) != s.columns {
		return fmt.Errorf("Row should have %d elements, instead it has %d", s.columns, len(words))
	}
	s.rows = append(s.rows, words)
	s.measure(words)
	return nil
}

func (s *section) measure(words []string) {
	for i, word := range words {
		if i == len(s.widths) {
			s.widths = append(s.widths, 0)
		}
		s.widths[i] = max(s.widths[i], utf8.RuneCountInString(word))
	}
}

var errTable = errors.New("this value has no form as a table; --output json has one")

func (t *table) build(title *string, v Value, indent int) error {
	if isEmpty(v) {
		return nil
	}
	if title != nil {
		t.section(*title, indent)
	}
	switch v := v.(type) {
	case *Object:
		return t.object(v, indent)
	case List:
		if _, ok := v[0].(*Object); ok {
			return t.objects(v, indent, title)
		}
		for _, item := range v {
			if err := t.item(item); err != nil {
				return err
			}
		}
	}
	return nil
}

// item is an element of a list whose first element is not an object.
func (t *table) item(v Value) error {
	switch v := v.(type) {
	case List:
		if slices.ContainsFunc(v, func(v Value) bool { return !isScalar(v) }) {
			return t.build(nil, v, 0)
		}
		return t.row(v...)
	case *Object:
		return errTable
	}
	return t.row(v)
}

// split sorts the names of members into those with single values and the others.
func split(o *Object) (single, more []string) {
	for _, m := range o.Members {
		if isScalar(m.Value) {
			single = append(single, m.Name)
		} else {
			more = append(more, m.Name)
		}
	}
	slices.Sort(single)
	slices.Sort(more)
	return single, more
}

func (t *table) object(o *Object, indent int) error {
	single, more := split(o)
	values := make([]Value, len(single))
	for i, name := range single {
		values[i], _ = o.Get(name)
	}
	if len(single) == 1 {
		if err := t.row(single[0], values[0]); err != nil {
			return err
		}
	} else if len(single) > 1 {
		t.header(single)
		if err := t.row(values...); err != nil {
			return err
		}
	}
	for _, name := range more {
		v, _ := o.Get(name)
		if err := t.build(&name, v, indent+1); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) objects(l List, indent int, title *string) error {
	var single, more []string
	for _, item := range l {
		o, ok := item.(*Object)
		if !ok {
			return errTable
		}
		s, m := split(o)
		single, more = append(single, s...), append(more, m...)
	}
	slices.Sort(single)
	slices.Sort(more)
	single, more = slices.Compact(single), slices.Compact(more)
	t.header(single)
	for i, item := range l {
		o := item.(*Object)
		if i > 0 && len(more) > 0 {
			if title == nil {
				return errTable
			}
			t.section(*title, indent)
			t.header(single)
		}
		values := make([]Value, len(single))
		for j, name := range single {
			if v, ok := o.Get(name); ok {
				values[j] = v
			} else {
				values[j] = ""
			}
		}
		if err := t.row(values...); err != nil {
			return err
		}
		for _, name := range more {
			if v, ok := o.Get(name); ok {
				if err := t.build(&name, v, indent+1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (t *table) width() int {
	width := 0
	for _, s := range t.sections {
		total := 2 + 2*s.indent
		for _, w := range s.widths {
			total += w + 4
		}
		width = max(width, total, utf8.RuneCountInString(s.title)+2+2*s.indent)
	}
	return width
}

// vertical turns a section of a single row by a quarter.
func (s *section) vertical() *section {
	if len(s.rows) != 1 || len(s.headers) == 0 {
		return s
	}
	turned := &section{title: s.title, indent: s.indent}
	for i, name := range s.headers {
		turned.columns = 2
		turned.rows = append(turned.rows, []string{name, s.rows[0][i]})
		turned.measure([]string{name, s.rows[0][i]})
	}
	return turned
}

// scaled widens the columns so that they fill total characters.
func (s *section) scaled(total int) []int {
	sum := 0
	for _, w := range s.widths {
		sum += w + 4
	}
	out := make([]int, len(s.widths))
	off := -total
	for i, w := range s.widths {
		out[i] = int(math.RoundToEven(float64(total) / float64(sum) * float64(w+4)))
		off += out[i]
	}
	for off != 0 {
		for i := range out {
			if off > 0 {
				out[i]--
				off--
			} else {
				out[len(out)-1-i]++
				off++
			}
			if off == 0 {
				break
			}
		}
	}
	return out
}

func (s *section) render(b *strings.Builder, total int) {
	edge := strings.Repeat("|", s.indent)
	total -= 2 * s.indent
	line := func(text string) { b.WriteString(edge + text + edge + "\n") }
	if s.title != "" {
		line(centre(s.title, total, "|"))
		if s.headers == nil && s.rows == nil {
			line("+" + strings.Repeat("-", total-2) + "+")
		}
	}
	if len(s.widths) == 0 {
		return
	}
	widths := s.scaled(total)
	rule := ""
	for i, w := range widths {
		if i == 0 {
			rule, w = "+", w-1
		}
		rule += strings.Repeat("-", w-1) + "+"
	}
	if s.headers != nil {
		line(rule)
		text := ""
		for i, name := range s.headers {
			left := ""
			if i == 0 {
				left = "|"
			}
			text += centre(name, widths[i], left)
		}
		line(text)
	}
	if s.rows == nil {
		return
	}
	line(rule)
	for _, row := range s.rows {
		text := ""
		for i, word := range row {
			left := ""
			if i == 0 {
				left = "|"
			}
			text += flush(word, widths[i], left)
		}
		line(text)
	}
	line(rule)
}

// centre puts a text in the middle of a cell that ends in a bar.
func centre(text string, length int, left string) string {
	n := utf8.RuneCountInString(text)
	before := max(0, length/2-n/2-1)
	after := max(0, length-1-len(left)-before-n)
	return left + strings.Repeat(" ", before) + text + strings.Repeat(" ", after) + "|"
}

// flush puts a text at the left of a cell that ends in a bar.
func flush(text string, length int, left string) string {
	n := utf8.RuneCountInString(text)
	padding := 2
	if length-n-padding-len(left)-1 < 0 {
		padding = 0
	}
	return left + strings.Repeat(" ", padding) + text +
		strings.Repeat(" ", max(0, length-1-len(left)-padding-n)) + "|"
}
