package conformance

import (
	"bytes"
	"time"
)

type mutation struct {
	name   string
	rule   Rule
	damage func() Findings
}

// media breaks the VOD playlist in its text.
func media(rule Rule, old, new string) mutation {
	return mutation{"VOD: " + old + " → " + new, rule, func() Findings {
		m, f := ParseMedia([]byte(replace(goodVOD, old, new)))
		return append(append(f, CheckDates(m, 0)...), CheckMaps(m)...)
	}}
}

// live breaks a live playlist in its text.
func live(rule Rule, old, new string) mutation {
	return mutation{"live: " + old + " → " + new, rule, func() Findings {
		_, f := ParseMedia([]byte(replace(goodLive, old, new)))
		return f
	}}
}

// reload breaks the second reading of a live playlist.
func reload(rule Rule, old, new string) mutation {
	return mutation{"reload: " + old + " → " + new, rule, func() Findings {
		before, _ := ParseMedia([]byte(goodLive))
		after, _ := ParseMedia([]byte(replace(goodReload, old, new)))
		return CheckReload(before, after)
	}}
}

// renditions breaks a second rendition of the VOD playlist.
func renditions(rule Rule, edit func(string) string) mutation {
	return mutation{"rendition: " + string(rule), rule, func() Findings {
		a, _ := ParseMedia([]byte(goodVOD))
		b, _ := ParseMedia([]byte(edit(goodVOD)))
		return CheckRenditions(a, b, 50*time.Millisecond)
	}}
}

func masterText(rule Rule, old, new string) mutation {
	return mutation{"master: " + old + " → " + new, rule, func() Findings {
		_, f := ParseMaster([]byte(replace(goodMaster, old, new)))
		return f
	}}
}

func iframes(rule Rule, old, new string) mutation {
	return mutation{"I-frames: " + old + " → " + new, rule, func() Findings {
		vod, _ := ParseMedia([]byte(goodVOD))
		m, f := ParseMedia([]byte(replace(goodIFrames, old, new)))
		return append(f, CheckIFrames(m, vod, 0)...)
	}}
}

// initBytes breaks an initialization section; n replacements of equal length.
func initBytes(name string, rule Rule, old, new []byte) mutation {
	return mutation{"init: " + name, rule, func() Findings {
		data := goodInit()
		if !bytes.Contains(data, old) {
			panic(name)
		}
		_, f := ParseInit(bytes.Replace(data, old, new, 1))
		return f
	}}
}

// moof bends the second of two segments.
func moof(name string, rule Rule, bend func(*fragment)) mutation {
	return mutation{"fragment: " + name, rule, func() Findings {
		in, _ := ParseInit(goodInit())
		a, _ := ParseFragment(in, "first", goodFragment(1, 0).bytes())
		g := goodFragment(2, 80)
		bend(g)
		b, f := ParseFragment(in, "second", g.bytes())
		return append(f, CheckTimeline(listed(), []*Timing{a, b}, Source{})...)
	}}
}

// raw bends the bytes of a segment.
func raw(name string, rule Rule, bend func([]byte) []byte) mutation {
	return mutation{"segment: " + name, rule, func() Findings {
		in, _ := ParseInit(goodInit())
		_, f := ParseFragment(in, "segment", bend(goodFragment(1, 0).bytes()))
		return f
	}}
}

// transportStream makes a segment with other contents.
func transportStream(name string, rule Rule, write func(w *transport)) mutation {
	return mutation{"TS: " + name, rule, func() Findings {
		w := newTransport()
		write(w)
		_, f := ParseTS("TS", w.out.Bytes())
		return f
	}}
}

func picture(dts int) []byte { return pes(0xE0, dts, startCodes(delimiter, sps, pps, idr)) }
