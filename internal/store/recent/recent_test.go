package recent

import (
	"testing"

	"weir/internal/media"
	"weir/internal/store"
)

// The cache stays within its bytes, and what is asked for again stays longer than what is not.
func TestFragmentCacheIsBounded(t *testing.T) {
	c := Fragments{Limit: 100_000}
	info := func(n store.Number) store.FragmentInfo {
		return store.FragmentInfo{Number: n, Location: store.Location{Volume: "cam/volume",
			Offset: int64(n)}}
	}
	head := &media.Fragment{Runs: []media.Run{{Frames: make([]media.Frame, 50)}}}
	_, changes, _ := c.Get("cam", 1)
	for n := store.Number(1); n <= 1000; n++ {
		f := info(n)
		c.Put("cam", f, changes)
		c.Opened("cam", &f, head, nil)
		one := info(1)
		if kept, _, _ := c.Head("cam", &one); kept != head {
			t.Fatalf("after %d fragments the one that is always opened is %+v", n, kept)
		}
		if f, _, ok := c.Get("cam", 1); !ok || f.Number != 1 {
			t.Fatalf("after %d fragments the one that is always asked for is %+v", n, f)
		}
		var bytes, young int64
		for _, f := range c.young {
			bytes += f.size()
			young += f.size()
		}
		for _, f := range c.old {
			bytes += f.size()
		}
		if bytes > c.Limit || young != c.bytes {
			t.Fatalf("after %d fragments %d bytes are kept, %d young ones, counted as %d", n, bytes,
				young, c.bytes)
		}
	}
	if _, _, ok := c.Get("cam", 2); ok {
		t.Fatal("one that nobody asked for is still there")
	}
	huge := info(2000)
	c.Put("cam", huge, changes)
	c.Opened("cam", &huge, &media.Fragment{Header: make([]byte, 60_000)}, nil)
	if _, _, ok := c.Get("cam", 2000); ok {
		t.Fatal("one that takes more than its share is kept")
	}
	if _, _, ok := c.Get("cam", 1); !ok {
		t.Fatal("it pushed the others out")
	}
}

// What was read before something was removed is not kept afterwards, or it would come back from the
// dead.
func TestFragmentCacheForgets(t *testing.T) {
	for name, forget := range map[string]func(*Fragments){
		"one": func(c *Fragments) { c.Forget("cam", 1) },
		"all": func(c *Fragments) { c.ForgetAll() },
	} {
		c := Fragments{Limit: 100_000}
		f := store.FragmentInfo{Number: 1}
		_, before, _ := c.Get("cam", 1)
		forget(&c)
		c.Put("cam", f, before)
		c.Opened("cam", &f, &media.Fragment{}, nil)
		if _, _, ok := c.Get("cam", 1); ok {
			t.Errorf("%s: a row that was read before is kept", name)
		}
		_, now, _ := c.Get("cam", 1)
		c.Put("cam", f, now)
		forget(&c)
		if _, _, ok := c.Get("cam", 1); ok || c.bytes != 0 {
			t.Errorf("%s: it is still there, %d bytes", name, c.bytes)
		}
	}
}

// A fragment that was listed and opened is not read again for its checksums. Its row does not count
// as one to answer with.
func TestFragmentCacheOfListedFragments(t *testing.T) {
	c := Fragments{Limit: 100_000}
	f := store.FragmentInfo{Number: 1, Location: store.Location{Volume: "cam/volume"}}
	head := &media.Fragment{}
	c.Opened("cam", &f, head, nil)
	c.Verified("cam", &f)
	if kept, _, whole := c.Head("cam", &f); kept != head || !whole {
		t.Errorf("kept %+v, %v", kept, whole)
	}
	_, changes, ok := c.Get("cam", 1)
	if ok {
		t.Error("the row is kept")
	}
	c.Put("cam", f, changes)
	if _, _, ok := c.Get("cam", 1); !ok {
		t.Error("the row is not kept")
	}
	if kept, _, _ := c.Head("cam", &f); kept != head {
		t.Error("with its row the head is gone")
	}
	moved := f
	moved.Location.Offset = 4096
	if kept, _, _ := c.Head("cam", &moved); kept != nil {
		t.Error("the head of another record")
	}
}
