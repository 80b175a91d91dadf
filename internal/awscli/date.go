package awscli

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// date is what a text says of a moment. What it leaves out is unset.
type date struct {
	year, month, day     int
	weekday              int // 0 is Monday
	hour, minute, second int
	micro                int
	zone                 string // name, or ""
	offset               int    // seconds east of UTC
	hasOffset            bool
}

// unset stands for what a date leaves out.
const unset = -1

var errNoDate = errors.New("no date or time")

// Words of dates, in lower case. The words in jumps have no meaning.
var (
	weekdays = numbered("mon monday|tue tuesday|wed wednesday|thu thursday|fri friday|"+
		"sat saturday|sun sunday", 0)
	months = numbered("jan january|feb february|mar march|apr april|may|jun june|jul july|"+
		"aug august|sep sept september|oct october|nov november|dec december", 1)
	clockUnits = numbered("h hour hours|m minute minutes|s second seconds", 0)
	halfDays   = numbered("am a|pm p", 0)
	jumps      = strings.Fields(". , ; - / ' at on and ad m t of st nd rd th")
	utcNames   = []string{"UTC", "GMT", "Z", "z"}
)

// numbered numbers groups of words.
func numbered(groups string, first int) map[string]int {
	n := map[string]int{}
	for i, group := range strings.Split(groups, "|") {
		for _, word := range strings.Fields(group) {
			n[word] = first + i
		}
	}
	return n
}

// lookUp finds a word whatever its case.
func lookUp(words map[string]int, token string) (int, bool) {
	n, ok := words[strings.ToLower(token)]
	return n, ok
}

func isJump(token string) bool {
	return token == " " || slices.Contains(jumps, strings.ToLower(token))
}

// dateParser reads dates as the default parser of dateutil.parser 2.9 does, with which the AWS
// command line reads timestamps: token by token, and each number by what is around it.
type dateParser struct {
	tokens []string
	at     int // index of the token at hand
	ymd    ymd
	year   int // this year, for years of two digits
	date
}

// parseDate reads a date in any form that dateutil takes. year is the present one.
func parseDate(text string, year int) (date, error) {
	p := &dateParser{tokens: dateTokens(text), year: year}
	p.ymd.marks = [3]int{unset, unset, unset}
	p.date = date{year: unset, month: unset, day: unset, weekday: unset, hour: unset, minute: unset,
		second: unset, micro: unset}
	nothing := p.date
	for ; p.at < len(p.tokens); p.at++ {
		if err := p.token(); err != nil {
			return date{}, err
		}
	}
	if err := p.ymd.resolve(&p.date); err != nil {
		return date{}, err
	}
	if p.date == nothing {
		return date{}, errNoDate
	}
	if p.date.year != unset && !p.ymd.century {
		p.date.year = p.fullYear(p.date.year)
	}
	switch {
	case p.hasOffset && p.offset == 0 && p.zone == "", p.zone == "Z", p.zone == "z":
		p.zone, p.offset, p.hasOffset = "UTC", 0, true
	case slices.Contains(utcNames, strings.ToUpper(p.zone)):
		p.offset, p.hasOffset = 0, true
	}
	return p.date, nil
}

// peek is a token after the one at hand, or "" beyond the end.
func (p *dateParser) peek(n int) string {
	if p.at+n >= len(p.tokens) {
		return ""
	}
	return p.tokens[p.at+n]
}

// token reads the token at hand and those that belong to it, and leaves at on the last of them.
func (p *dateParser) token() error {
	token := p.tokens[p.at]
	if _, err := strconv.ParseFloat(token, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return p.number(token)
	}
	if day, ok := lookUp(weekdays, token); ok {
		p.weekday = day
		return nil
	}
	if month, ok := lookUp(months, token); ok {
		return p.monthName(month)
	}
	if half, ok := lookUp(halfDays, token); ok {
		if p.hour < 0 || p.hour > 12 {
			return errNoDate
		}
		p.hour = hourOf(p.hour, half)
		return nil
	}
	switch {
	case !p.hasOffset && p.isZone(token):
		p.zoneName(token)
		return nil
	case p.hour != unset && (token == "+" || token == "-"):
		return p.zoneOffset(token)
	case isJump(token):
		return nil
	}
	return errNoDate
}

// monthName reads the name of a month with what is joined to it: Apr-06, Apr/06/2021, April of
// 2021.
func (p *dateParser) monthName(month int) error {
	if err := p.ymd.add(float64(month), 'm'); err != nil {
		return err
	}
	sep := p.peek(1)
	switch {
	case sep == "-" || sep == "/":
		if err := p.ymd.addText(p.peek(2), 0); err != nil {
			return err
		}
		if p.peek(3) == sep {
			if err := p.ymd.addText(p.peek(4), 0); err != nil {
				return err
			}
			p.at += 2
		}
		p.at += 2
	case sep == " " && strings.EqualFold(p.peek(2), "of") && p.peek(3) == " " && p.peek(4) != "":
		if digits := p.peek(4); strings.Trim(digits, "0123456789") == "" {
			year, err := strconv.Atoi(digits)
			if err != nil {
				return err
			}
			if err := p.ymd.addText(strconv.Itoa(p.fullYear(year)), 'y'); err != nil {
				return err
			}
		}
		p.at += 4
	}
	return nil
}

// isZone reports whether a token can only be the name of a zone: up to five capitals, once there
// is an hour.
func (p *dateParser) isZone(token string) bool {
	capitals := strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	return p.hour != unset && p.zone == "" && len(token) <= 5 &&
		(capitals || slices.Contains(utcNames, token))
}

// zoneName reads UTC, EST or GMT+3. The last means that GMT is three hours later, as in TZ of
// POSIX.
func (p *dateParser) zoneName(name string) {
	p.zone = name
	p.hasOffset = name == "z"
	if sign := p.peek(1); sign == "+" || sign == "-" {
		p.tokens[p.at+1] = map[string]string{"+": "-", "-": "+"}[sign]
		p.hasOffset = false
		if slices.Contains(utcNames, name) {
			p.zone = ""
		}
	}
}

// zoneOffset reads -0300, -03:00 and -3, each with or without a name after it: -0300 (BRT).
func (p *dateParser) zoneOffset(sign string) error {
	digits := p.peek(1)
	hours, minutes := digits, "0"
	switch {
	case len(digits) == 4:
		hours, minutes = digits[:2], digits[2:]
	case p.peek(2) == ":":
		minutes = p.peek(3)
		p.at += 2
	case len(digits) > 2:
		return errNoDate
	}
	h, err1 := natural(hours)
	m, err2 := natural(minutes)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	p.offset, p.hasOffset = h*3600+m*60, true
	if sign == "-" {
		p.offset = -p.offset
	}
	if name := p.peek(4); isJump(p.peek(2)) && p.peek(3) == "(" && p.peek(5) == ")" &&
		len(name) >= 3 && p.isZone(name) {
		p.zone = name
		p.at += 4
	}
	p.at++
	return nil
}

// fullYear puts a year of two digits into the fifty years before or after the present one.
func (p *dateParser) fullYear(year int) int {
	if year >= 100 {
		return year
	}
	year += p.year / 100 * 100
	switch {
	case year >= p.year+50:
		return year - 100
	case year < p.year-50:
		return year + 100
	}
	return year
}

// hourOf is the hour of a clock of twelve hours; half is 1 for the afternoon.
func hourOf(hour, half int) int {
	switch {
	case hour < 12 && half == 1:
		return hour + 12
	case hour == 12 && half == 0:
		return 0
	}
	return hour
}

// natural reads a number that is digits only.
func natural(text string) (int, error) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, errNoDate
	}
	return strconv.Atoi(text)
}

// ymd has the numbers that stand for year, month and day, in the order of the text.
type ymd struct {
	values  []int
	marks   [3]int // indexes in values of what is known to be the year, the month, the day
	century bool   // the year is not one of two digits
}

// addText adds a number as it was written: more than two digits are a year. kind is 'y', 'm', 'd'
// or 0.
func (d *ymd) addText(text string, kind byte) error {
	n, err := natural(text)
	if err != nil {
		return err
	}
	if len(text) > 2 {
		d.century = true
		if kind != 0 && kind != 'y' {
			return errNoDate
		}
		kind = 'y'
	}
	return d.mark(n, kind)
}

// add adds a number, which is a year above 100.
func (d *ymd) add(n float64, kind byte) error {
	if n > 9999 {
		return errNoDate
	}
	if n > 100 {
		d.century = true
		kind = 'y'
	}
	return d.mark(int(n), kind)
}

func (d *ymd) mark(n int, kind byte) error {
	d.values = append(d.values, n)
	if kind == 0 {
		return nil
	}
	which := strings.IndexByte("ymd", kind)
	if d.marks[which] != unset {
		return errNoDate
	}
	d.marks[which] = len(d.values) - 1
	return nil
}

// mayBeDay reports whether n can be the day of the month, which there may be already.
func (d *ymd) mayBeDay(n float64) bool {
	days := 31
	if m := d.marks[1]; m != unset {
		year := 2000
		if y := d.marks[0]; y != unset {
			year = d.values[y]
		}
		days = daysIn(year, d.values[m])
	}
	return n >= 1 && n <= float64(days)
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// resolve finds out which number is the year, the month and the day: by name, by size, or by the
// usual orders (2021-04-06, 04/06/2021, 6-Apr-2021).
func (d *ymd) resolve(to *date) error {
	v, y, m := d.values, d.marks[0], d.marks[1]
	known := 0
	for _, mark := range d.marks {
		if mark != unset {
			known++
		}
	}
	order := ""
	switch {
	case len(v) > 0 && len(v) == known, len(v) == 3 && known == 2:
		order = d.marked()
	case len(v) > 3:
		return errNoDate
	case len(v) == 1 && v[0] > 31, len(v) == 2 && m == unset && v[0] > 31:
		order = "ym"
	case len(v) == 1:
		order = "d"
	case len(v) == 2 && m != unset:
		other := "d"
		if v[1-m] > 31 {
			other = "y"
		}
		order = map[int]string{0: "m" + other, 1: other + "m"}[m]
	case len(v) == 2 && v[1] > 31:
		order = "my"
	case len(v) == 2:
		order = "md"
	case len(v) == 3:
		order = threeNumbers(v, y, m)
	}
	for i, n := range v {
		switch order[i] {
		case 'y':
			to.year = n
		case 'm':
			to.month = n
		case 'd':
			to.day = n
		}
	}
	return nil
}

// marked is the order if all marks are known, or all but one.
func (d *ymd) marked() string {
	order := []byte("...")[:len(d.values)]
	missing := byte('.')
	for which, mark := range d.marks {
		if mark == unset {
			missing = "ymd"[which]
		} else {
			order[mark] = "ymd"[which]
		}
	}
	return strings.ReplaceAll(string(order), ".", string(missing))
}

// threeNumbers is the order of three numbers, of which y and m may be known to be year and month.
func threeNumbers(v []int, y, m int) string {
	switch {
	case m == 0 && v[1] > 31:
		return "myd"
	case m == 0:
		return "mdy"
	case m == 1 && v[0] > 31:
		return "ymd"
	case m == 1:
		return "dmy"
	case m == 2 && v[1] > 31:
		return "dym"
	case m == 2:
		return "ydm"
	case v[0] > 31 || y == 0:
		return "ymd"
	case v[0] > 12:
		return "dmy"
	}
	return "mdy"
}
