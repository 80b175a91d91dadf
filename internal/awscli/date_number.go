package awscli

import (
	"strconv"
	"strings"
)

// number reads a number: part of a date, a clock time, or all of either without separators.
func (p *dateParser) number(token string) error {
	if strings.Trim(token, "0123456789.") != "" { // inf, nan
		return errNoDate
	}
	value, err := strconv.ParseFloat(token, 64)
	if err != nil {
		return errNoDate
	}
	hour := int(min(value, 24)) // 24 is refused in the end
	next := p.peek(1)
	_, unitNext := lookUp(clockUnits, next)
	half, halfNext := lookUp(halfDays, next)
	dot := strings.IndexByte(token, '.')
	length := len(token)
	at, unit := p.unit()
	switch {
	case len(p.ymd.values) == 3 && (length == 2 || length == 4) && p.hour == unset &&
		next != ":" && !unitNext:
		return p.joinedClock(token) // 20210406T15, 20210406T1505
	case length == 6 && dot < 0 && len(p.ymd.values) == 0:
		return p.joinedDate("yy", token) // 210406
	case length == 6 || length > 6 && dot == 6:
		return p.joinedClock(token) // 20210406T150530.25
	case length == 8 || length == 12 || length == 14:
		if err := p.joinedDate("yyyy", token[:8]); err != nil || length == 8 {
			return err
		}
		if err := p.joinedClock(token[8:12]); err != nil || length == 12 {
			return err
		}
		p.second, err = natural(token[12:]) // 20210406150530
		return err
	case unit != unset:
		p.at = at
		return p.inUnit(token, value, unit) // 15h 5m
	case next == ":" && p.peek(2) != "":
		return p.clock(hour) // 15:05:30
	case next == "-" || next == "/" || next == ".":
		return p.joined(token, next) // 2021-04-06
	case next == "" || isJump(next):
		if half, ok := lookUp(halfDays, p.peek(2)); ok { // 3 pm
			p.hour = hourOf(hour, half)
			p.at++
		} else if err := p.ymd.add(value, 0); err != nil {
			return err
		}
		p.at++
		return nil
	case halfNext && value < 24: // 3pm
		p.hour = hourOf(hour, half)
		p.at++
		return nil
	case p.ymd.mayBeDay(value):
		return p.ymd.add(value, 0)
	}
	return errNoDate
}

// joinedClock reads HH, HHMM, HHMMSS and HHMMSS.fraction.
func (p *dateParser) joinedClock(digits string) (err error) {
	if p.hour, err = natural(digits[:2]); err != nil || len(digits) == 2 {
		return err
	}
	if p.minute, err = natural(digits[2:4]); err != nil || len(digits) == 4 {
		return err
	}
	return p.seconds(digits[4:])
}

// joinedDate reads YYMMDD or YYYYMMDD.
func (p *dateParser) joinedDate(year, digits string) error {
	n, kind := len(year), byte(0)
	if n == 4 {
		kind = 'y'
	}
	if err := p.ymd.addText(digits[:n], kind); err != nil {
		return err
	}
	if err := p.ymd.addText(digits[n:n+2], 0); err != nil {
		return err
	}
	return p.ymd.addText(digits[n+2:], 0)
}

// seconds reads SS and SS.fraction, to the microsecond.
func (p *dateParser) seconds(text string) (err error) {
	text, fraction, ok := strings.Cut(text, ".")
	if p.second, err = natural(text); err != nil {
		return err
	}
	p.micro = 0
	if ok {
		p.micro, err = natural((fraction + "000000")[:6])
	}
	return err
}

// minutes takes minutes whose fraction is seconds.
func (p *dateParser) minutes(text string) error {
	n, part, err := inSixty(text)
	if err != nil {
		return err
	}
	p.minute, p.second = n, unset
	if part > 0 {
		p.second = part
	}
	return nil
}

// inSixty splits a decimal number into the whole of it and the sixtieth parts of its fraction.
func inSixty(text string) (n, part int, err error) {
	text, fraction, _ := strings.Cut(text, ".")
	if n, err = natural(text); err != nil || fraction == "" {
		return n, 0, err
	}
	fraction = (fraction + strings.Repeat("0", 16))[:16]
	f, err := strconv.ParseInt(fraction, 10, 64)
	return n, int(f * 60 / 1e16), err
}

// clock reads HH:MM, HH:MM:SS and HH:MM:SS.fraction.
func (p *dateParser) clock(hour int) error {
	p.hour = hour
	if err := p.minutes(p.peek(2)); err != nil {
		return err
	}
	if p.peek(3) == ":" && p.peek(4) != "" {
		if err := p.seconds(p.peek(4)); err != nil {
			return err
		}
		p.at += 2
	}
	p.at += 2
	return nil
}

// joined reads two or three parts of a date with the same separator: 2021-04-06, 04/06, 6.Apr.2021.
func (p *dateParser) joined(token, sep string) error {
	if err := p.ymd.addText(token, 0); err != nil {
		return err
	}
	if second := p.peek(2); second != "" && !isJump(second) {
		if err := p.part(second); err != nil {
			return err
		}
		if p.peek(3) == sep {
			if err := p.part(p.peek(4)); err != nil {
				return err
			}
			p.at += 2
		}
		p.at++
	}
	p.at++
	return nil
}

// part adds a number or the name of a month.
func (p *dateParser) part(token string) error {
	if month, ok := lookUp(months, token); ok {
		return p.ymd.add(float64(month), 'm')
	}
	return p.ymd.addText(token, 0)
}

// unit finds what hour, minute or second the number at hand counts, named after it (15h, 15 h) or
// by what the number before it was: 15h05. It returns the index of the last token and the unit, or
// unset.
func (p *dateParser) unit() (at, unit int) {
	if unit, ok := lookUp(clockUnits, p.peek(1)); ok {
		return p.at + 1, unit
	}
	if unit, ok := lookUp(clockUnits, p.peek(2)); ok && p.peek(1) == " " {
		return p.at + 2, unit
	}
	if p.at > 0 {
		if unit, ok := lookUp(clockUnits, p.tokens[p.at-1]); ok {
			return p.at, unit + 1
		}
	}
	if p.at > 1 && p.at == len(p.tokens)-1 && p.tokens[p.at-1] == " " {
		if unit, ok := lookUp(clockUnits, p.tokens[p.at-2]); ok {
			return p.at, unit + 1
		}
	}
	return p.at, unset
}

// inUnit takes a number of hours (0), minutes (1) or seconds (2).
func (p *dateParser) inUnit(token string, value float64, unit int) error {
	switch unit {
	case 0:
		hour, minutes, err := inSixty(token)
		if err != nil {
			return err
		}
		if p.hour = hour; minutes > 0 || value > float64(hour) {
			p.minute = minutes
		}
	case 1:
		return p.minutes(token)
	case 2:
		return p.seconds(token)
	}
	return nil
}
