package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httputil"
	"sync"
	"testing"
	"time"
)

// BenchmarkIngest sends fragments of 200 KB, 30 frames each as a camera makes them, in HTTP chunks
// of 16 KB as curl does, over four connections as fast as they are acknowledged, and reports what
// the whole server costs: processor seconds per GB, the kernel's included. An iteration is 100
// fragments on each connection.
func BenchmarkIngest(b *testing.B) {
	const producers, each, ahead = 4, 100, 8
	s := start(b, "")
	sizes := make([]int, 30)
	for i := range sizes {
		sizes[i] = 5_000
	}
	sizes[0] = 55_000
	size := 0
	var frames [][]byte
	for i, n := range sizes {
		f := bytes.Repeat([]byte{byte(i)}, n)
		copy(f, []byte{0, 0, byte((n - 4) >> 8), byte(n - 4), 0x41})
		if i == 0 {
			f[4] = 0x65
		}
		frames = append(frames, f)
		size += n
	}
	const millis = 30 * 40
	base := time.Now().Add(-100 * time.Hour).UnixMilli()
	var sent int
	send := func(producer, count int) error {
		p, err := connect(s, fmt.Sprint("bench", producer))
		if err != nil {
			return err
		}
		defer p.conn.Close()
		window := make(chan struct{}, ahead)
		go func() { // errors show as missing acknowledgements
			body := &piecewise{w: httputil.NewChunkedWriter(p.conn), size: 16_384}
			body.Write(syntheticHeader())
			for k := range count {
				window <- struct{}{}
				body.Write(framesCluster(base+int64(sent+k)*millis, 40, frames))
			}
			body.Write(endOfFragment())
		}()
		for persisted := 0; persisted < count; {
			a, err := p.next()
			if err != nil || a.EventType == "ERROR" {
				return fmt.Errorf("%+v, %w", a, err)
			}
			if a.EventType == "PERSISTED" {
				persisted++
				<-window
			}
		}
		return nil
	}
	all := func(count int) {
		var wg sync.WaitGroup
		for p := range producers {
			wg.Go(func() {
				if err := send(p, count); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		sent += count
	}
	for p := range producers {
		s.run("weir", "create-stream", "--stream-name", fmt.Sprint("bench", p),
			"--data-retention-in-hours", "200")
	}
	all(4)
	process := []int{s.cmd.Process.Pid}
	before, began := cpuTime(b, process), time.Now()
	b.ResetTimer()
	for range b.N {
		all(each)
	}
	gigabytes := float64(b.N*producers*each*size) / 1e9
	b.ReportMetric((cpuTime(b, process)-before).Seconds()/gigabytes, "cpu-s/GB")
	b.ReportMetric(gigabytes*1e3/time.Since(began).Seconds(), "MB/s")
}

// piecewise hands on what is written in pieces.
type piecewise struct {
	w    io.Writer
	size int
}

func (p *piecewise) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		piece := b[:min(p.size, len(b))]
		if _, err := p.w.Write(piece); err != nil {
			return n - len(b), err
		}
		b = b[len(piece):]
	}
	return n, nil
}
