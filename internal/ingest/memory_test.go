package ingest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/store"
)

// slowBody is a connection whose body comes in pieces, at times that the test sets.
type slowBody struct {
	t    *testing.T
	mem  *Memory
	log  *ackLog
	body *io.PipeWriter
	done chan error

	mu  sync.Mutex
	now time.Time
}

func newSlowBody(t *testing.T, s Store, limits Limits) *slowBody {
	r, w := io.Pipe()
	b := &slowBody{t: t, mem: newMemory(256 << 20), log: &ackLog{}, body: w,
		done: make(chan error, 1), now: testNow}
	o := absolute(s)
	o.Memory, o.Limits = b.mem, limits
	o.Clock = func() time.Time {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.now
	}
	go func() {
		err := New(o).Run(context.Background(), r, b.log)
		r.CloseWithError(io.ErrClosedPipe)
		b.done <- err
	}()
	return b
}

// send sends data some time after the piece before. It returns false if the connection has stopped
// reading.
func (b *slowBody) send(after time.Duration, data []byte) bool {
	b.mu.Lock()
	b.now = b.now.Add(after)
	b.mu.Unlock()
	_, err := b.body.Write(data)
	return err == nil
}

func (b *slowBody) end() error {
	b.body.Close()
	err := <-b.done
	if used := b.mem.Used(); used != 0 {
		b.t.Errorf("%d bytes of memory are still taken after the connection", used)
	}
	return err
}

// declared makes an element's header without its body.
func declared(id []byte, size uint32) []byte {
	return append(bytes.Clone(id), 0x08, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
}

// What is declared but not sent costs nothing. What is sent counts, wherever it is kept.
func TestMemoryIsTakenAsBytesCome(t *testing.T) {
	const size, step = 40 << 20, 256 << 10
	open := build(t).header(sdk).cluster(epoch).Bytes()
	document := append(element(0x1A45DFA3, element(0x4282, []byte("matroska"))), 0x18, 0x53, 0x80,
		0x67, 0xFF)
	entry := bytes.Join([][]byte{element(0xD7, []byte{1}), element(0x83, []byte{1}),
		element(0x86, []byte("V_MPEG4/ISO/AVC"))}, nil)
	frame := func(n int) []byte { return append([]byte{0x81, 0, 0, 0x80}, make([]byte, n)...) }
	for _, c := range []struct {
		name  string
		start []byte
		sent  int // bytes after start
		least int64
	}{
		{"block", append(bytes.Clone(open), declared([]byte{0xA3}, size)...), 10 << 20, 10 << 20},
		{"block group", append(bytes.Clone(open), declared([]byte{0xA0}, size)...), 10 << 20,
			10 << 20},
		{"tags", append(bytes.Clone(open), declared([]byte{0x12, 0x54, 0xC3, 0x67}, 250<<10)...),
			200 << 10, 200 << 10},
		{"tracks", append(bytes.Clone(document),
			declared([]byte{0x16, 0x54, 0xAE, 0x6B}, 1<<20)...), 900 << 10, 900 << 10},
		{"codec private data, header and copy", bytes.Join([][]byte{document,
			element(0x1654AE6B,
				element(0xAE, entry, element(0x63A2, make([]byte, 1<<20))))}, nil), 0, 2 << 20},
		{"unknown element", append(bytes.Clone(open), declared([]byte{0xEC}, size)...), 10 << 20,
			0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newSlowBody(t, newStore(), Limits{})
			if !b.send(0, c.start) || !b.send(0, frame(0)[:min(4, c.sent)]) {
				t.Fatal("not read")
			}
			if used, most := b.mem.Used(), int64(len(c.start))*3+step; used > most {
				t.Errorf("%d bytes taken for %d that came, want %d at most", used, len(c.start)+4,
					most)
			}
			if c.sent > 0 {
				b.send(0, make([]byte, c.sent-4))
			}
			if used := b.mem.Used(); used < c.least || used > int64(len(c.start)+c.sent)*3+step {
				t.Errorf("%d bytes taken after %d had come", used, len(c.start)+c.sent)
			}
			b.end()
		})
	}
}

// A large fragment takes little more than its bytes, and exactly the capacity of its buffer. Large
// buffers never lie in a pool, where nobody would count them.
func TestBuffersAreWhatIsCounted(t *testing.T) {
	m := NewMemory(0)
	var b []byte
	for len(b) < api.MaxFragmentBytes {
		step := min(memoryStep, api.MaxFragmentBytes-len(b))
		size := roomSize(b, step)
		if b = m.room(b, step); cap(b) != size || len(b)+step > size {
			t.Fatalf("a buffer of %d bytes for %d and %d more, said to be %d", cap(b), len(b), step,
				size)
		}
		b = b[:len(b)+step]
		if most := max(2*len(b), 1<<minClass); cap(b) > most ||
			len(b) > maxPooled && cap(b) > len(b)+len(b)/4 {
			t.Fatalf("a buffer of %d bytes for %d", cap(b), len(b))
		}
	}
	m.recycle(b)
	for class := range m.pools {
		if b, _ := m.pools[class].Get().(*[]byte); b != nil && cap(*b) > maxPooled {
			t.Errorf("a buffer of %d bytes is kept", cap(*b))
		}
	}
}

// The largest fragment that fits a small budget is stored, as one block or one BlockGroup. For a
// larger one the error says at once that it is too large, not that the producer should try again.
func TestSmallMemory(t *testing.T) {
	m := NewMemory(0)
	for _, c := range []struct {
		name string
		size int
		want string // the end of the last acknowledgement
	}{
		{"largest", m.Largest(), "#1"},
		{"too large", m.Largest() + 1<<20, "4001"},
	} {
		frame := strings.Repeat("x", c.size)
		for kind, block := range map[string][]byte{
			"block": simpleBlock(1, 0, true, frame),
			"group": element(0xA0, element(0xA1, append([]byte{0x81, 0, 0, 0}, frame...))),
		} {
			o := absolute(newStore())
			o.Memory = m
			o.Limits.MemoryWait = time.Nanosecond
			body := append(build(t).header(sdk).Bytes(), knownCluster(epoch, block)...)
			acks, _ := run(t, o, bytes.NewReader(body))
			if !strings.HasSuffix(acks[len(acks)-1], c.want) {
				t.Errorf("%s %s: %v", c.name, kind, acks)
			}
			if used := m.Used(); used != 0 {
				t.Errorf("%s %s: %d bytes are still taken", c.name, kind, used)
			}
		}
	}
}

// Greedy streams that hold all memory make room for one that needs little, of the same key or of
// another.
func TestMemoryHasRoomForOthers(t *testing.T) {
	m := newMemory(64 << 20)
	ctx := context.Background()
	var evicted []store.StreamID
	hold := func(name, key string, n int64) *claim {
		var c *claim
		c = m.join(owner{store.StreamID(name), key}, func(error) {
			evicted = append(evicted, c.stream)
			go func() { // as a connection ends
				open := c.open
				m.settle(c, open)
				m.give(c.owner, open)
				m.leave(c)
			}()
		})
		for range n / memoryStep {
			if err := m.take(ctx, c, memoryStep, 0); err != nil {
				t.Fatalf("%s: %v with %d of %d used", name, err, m.Used(), m.limit)
			}
		}
		return c
	}
	greedy := m.join(owner{"alone", "a"}, nil)
	if err := m.take(ctx, greedy, 32<<20, 0); err != nil {
		t.Fatal(err)
	}
	if err := m.take(ctx, greedy, 1, 0); err == nil {
		t.Error("a stream has more than half")
	}
	// read to its end, and on its way to the disk: ending the connection would give nothing back
	m.settle(greedy, 32<<20)
	hold("small", "a", 4<<20)
	hold("large", "a", 12<<20)
	same := m.join(owner{"same key", "a"}, nil)
	if err := m.take(ctx, same, 1<<20, patience); err != nil {
		t.Fatalf("the key's last stream: %v", err)
	}
	hold("b1", "b", 8<<20)
	hold("b2", "b", 12<<20)
	hold("b3", "b", 64<<20-m.Used())
	other := m.join(owner{"third key", "c"}, nil)
	if err := m.take(ctx, other, 1<<20, patience); err != nil {
		t.Fatalf("the last key: %v", err)
	}
	if fmt.Sprint(evicted) != "[large b2]" {
		t.Errorf("ended %v", evicted)
	}
}

// Memory of fragments on their way to a slow disk comes back by itself. A connection that otherwise
// holds only the header of its document is not ended for it.
func TestMemoryEndsNobodyForAHeader(t *testing.T) {
	m := newMemory(64 << 20)
	ended := 0
	for _, name := range []string{"a", "b"} {
		c := m.join(owner{store.StreamID(name), "key"}, func(error) { ended++ })
		for _, n := range []int64{2 << 10, 24<<20 - 2<<10} {
			if err := m.take(t.Context(), c, n, 0); err != nil {
				t.Fatal(err)
			}
		}
		m.settle(c, 24<<20-2<<10)
	}
	other := m.join(owner{"c", "key"}, nil)
	if err := m.take(t.Context(), other, 1<<20, 2*evictAfter); err != errMemory {
		t.Error(err)
	}
	if ended > 0 {
		t.Errorf("%d connections ended", ended)
	}
}

const patience = 20 * time.Second

// A connection that holds more than others that wait ends, with an error after which its producer
// begins again.
func TestConnectionMakesRoom(t *testing.T) {
	b := newSlowBody(t, newStore(), Limits{})
	b.send(0, build(t).header(sdk).cluster(epoch).Bytes())
	b.send(0, append(declared([]byte{0xA3}, 40<<20), 0x81, 0, 0, 0x80))
	b.send(0, make([]byte, 32<<20))
	for i, n := range []int64{128 << 20, 64 << 20, 20 << 20} { // on their way to the disk
		rest := b.mem.join(owner{store.StreamID(fmt.Sprint("rest", i)), fmt.Sprint("key", i/2)},
			nil)
		if err := b.mem.take(context.Background(), rest, n, 0); err != nil {
			t.Fatal(err)
		}
		b.mem.settle(rest, n)
	}
	one := b.mem.join(owner{"one", "third"}, nil)
	go func() { // the body flows on
		for b.send(0, []byte{0}) {
		}
	}()
	if err := b.mem.take(context.Background(), one, 10<<20, patience); err != nil {
		t.Fatal(err)
	}
	if err := <-b.done; err == nil {
		t.Error("no error")
	}
	if last := b.log.all()[len(b.log.all())-1]; last != "ERROR 5000" {
		t.Errorf("last acknowledgement %q", last)
	}
}

// Cameras may be slow and may pause; what only holds memory is cut.
func TestSlowFragments(t *testing.T) {
	type piece struct {
		after time.Duration
		bytes int
	}
	second := time.Second
	for _, c := range []struct {
		name   string
		limits Limits
		header bool // pieces come before the first cluster
		pieces []piece
		want   string // ERROR, or stored
	}{
		{"one frame a second, 100 kbit/s", Limits{}, false,
			slices.Repeat([]piece{{second, 12_500}}, 19), "stored"},
		{"a pause of 90 s in a large fragment", Limits{}, false,
			[]piece{{second, 20 << 20}, {90 * second, 1000}, {19 * second, 1000}}, "stored"},
		{"a link slower than the media", Limits{}, false,
			slices.Repeat([]piece{{9 * second, 700_000}}, 20), "stored"},
		{"a byte a second", Limits{}, false, slices.Repeat([]piece{{second, 1}}, 120),
			"ERROR 4002"},
		{"much, then a byte a minute", Limits{}, false,
			append([]piece{{second, 6 << 20}}, slices.Repeat([]piece{{60 * second, 1}}, 4)...),
			"ERROR 4002"},
		{"for ever", Limits{Rate: 1}, false, slices.Repeat([]piece{{60 * second, 100_000}}, 8),
			"ERROR 4002"},
		{"a header without end", Limits{}, true, slices.Repeat([]piece{{60 * second, 1}}, 4),
			"ERROR 4000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore()
			b := newSlowBody(t, s, c.limits)
			start := build(t).header(sdk)
			if c.header {
				b.send(0, append(start.Bytes(), declared([]byte{0xEC}, 1<<20)...))
			} else {
				b.send(0, start.cluster(epoch).Bytes())
			}
			inside := c.header // an element that does not end
			for i, p := range c.pieces {
				data := make([]byte, p.bytes)
				switch {
				case inside:
				case p.bytes > 1:
					data = simpleBlock(1, int16(i*40), true, strings.Repeat("x", p.bytes))
				default:
					data, inside = append(declared([]byte{0xA3}, 1<<20), 0x81, 0, 0, 0x80), true
				}
				if !b.send(p.after, data) {
					break
				}
			}
			b.send(0, build(t).end().Bytes())
			b.end()
			last := b.log.all()[len(b.log.all())-1]
			if c.want == "stored" && (len(s.all()) != 1 || s.all()[0].Partial) ||
				c.want != "stored" && !strings.HasPrefix(last, c.want[:5]) {
				t.Errorf("%d stored, last acknowledgement %q", len(s.all()), last)
			}
			if c.want != "stored" && !strings.HasSuffix(last, c.want[6:]) {
				t.Errorf("last acknowledgement %q, want %s", last, c.want)
			}
		})
	}
}

// A whole fragment that waits for the next one is not slow, however long it took and however long
// the camera pauses then. But it may not wait for ever while bytes trickle in.
func TestPauseAfterSlowFragment(t *testing.T) {
	s := newStore()
	b := newSlowBody(t, s, Limits{})
	b.send(0, build(t).header(sdk).Bytes())
	cluster := func(timecode int64) []byte {
		return knownCluster(timecode, simpleBlock(1, 0, true, strings.Repeat("x", 1000)))
	}
	first := cluster(epoch)
	b.send(0, first[:100])
	b.send(60*time.Second, first[100:])
	b.send(80*time.Second, cluster(epoch+20_000))
	void := element(0xEC, make([]byte, 100))
	for i := 0; i < 5 && b.send(50*time.Second, void); i++ {
	}
	b.end()
	var want []string
	for n, timecode := range []int64{epoch, epoch + 20_000} {
		for _, kind := range []string{"BUFFERING", "RECEIVED", "PERSISTED"} {
			want = append(want, fmt.Sprintf("%s %d #%d", kind, timecode, n+1))
		}
	}
	wantAcks(t, b.log.all(), append(want, "ERROR 4000")...)
}
