package live

import "testing"

// If buffers were used again too early, a slow reader would see another fragment's bytes. If they
// never were, every fragment that somebody follows would need new memory.
func TestBuffersAreUsedAgainWhenNobodyReadsThem(t *testing.T) {
	e := New(Options{})
	w := e.Follow(camera)
	defer w.Close()
	p := begin(e, 1)
	p.block("abc")
	if !p.Move(0, []byte("abc")) {
		t.Error("nobody reads, but the buffer may not be used again")
	}
	first, second := hold(t, w), hold(t, w)
	before := state(t, first).Tracks[0].Payload
	if p.Move(0, []byte("abcdef")) {
		t.Error("a buffer that is read may be used again")
	}
	if got := state(t, first).Tracks[0].Payload; string(got) != "abc" || &got[0] == &before[0] {
		t.Errorf("payload %q after it has moved", got)
	}
	first.Release()
	p.BrokenOff()
	p.release()
	if got := state(t, second).Tracks[0].Payload; string(got) != "abc" || p.freed != 0 {
		t.Errorf("payload %q while it is read, given back %d times", got, p.freed)
	}
	if e.held == 0 {
		t.Error("what is held after the end is not counted")
	}
	second.Release()
	second.Release()
	if p.freed != 1 || e.held != 0 {
		t.Errorf("given back %d times after the last reader, %d bytes held", p.freed, e.held)
	}
	unread := begin(e, 2)
	if unread.release(); unread.freed != 1 {
		t.Error("buffers that nobody held are not given back")
	}
}

// A reader who abandons a fragment may still read its buffers, for ever. So no other bytes are put
// there.
func TestAbandonedBuffersAreNotUsedAgain(t *testing.T) {
	e := New(Options{})
	w := e.Follow(camera)
	defer w.Close()
	early, late := begin(e, 1), begin(e, 2)
	for i, p := range []*producer{early, late} {
		fragments, _ := w.Fragments()
		h := fragments[i].Hold()
		if p == early {
			h.Abandon()
		}
		if p.Move(0, nil) {
			t.Error("a buffer that may be read is used again when it grows")
		}
		p.BrokenOff()
		p.release()
		h.Abandon()
		if p.freed != 0 || e.held != 0 {
			t.Errorf("given back %d times, %d bytes are held", p.freed, e.held)
		}
	}
}
