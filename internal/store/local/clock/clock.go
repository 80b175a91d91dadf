// Package clock is the clock of retention: the wall clock, checked against how long the machine has
// run, so that a jump of the wall clock deletes nothing.
package clock

import (
	"crypto/rand"
	"time"
)

const (
	// Slack is by how much the clocks may disagree, since a wall clock is corrected: slowly, or by
	// a leap second.
	Slack = time.Minute
	// Steady is how long the wall clock must run evenly before retention follows a jump.
	Steady = 10 * time.Minute
)

// Mark is a moment on three clocks, in milliseconds. From there on the retention clock runs with
// the machine. Once the wall clock has run evenly beside it for ten minutes, the retention clock is
// set to the wall clock. So a jump deletes nothing that real time would not delete.
type Mark struct {
	Boot string // names the boot of the machine that Up counts from; empty: no mark
	Up   int64  // since the boot, including the time asleep
	Wall int64  // since the Unix epoch
	// Retention is the time for retention, since the Unix epoch: Wall, or less while the wall clock
	// is not trusted.
	Retention int64
}

// mark makes a mark with the retention clock at wall, or where it was if that is later.
func mark(boot string, up, wall, retention int64) Mark {
	if wall <= retention+Slack.Milliseconds() {
		retention = wall
	}
	return Mark{Boot: boot, Up: up, Wall: wall, Retention: retention}
}

// Next returns the mark to go on from: m, or a new one when the wall clock has left m's line or has
// run along it for long enough.
func (m Mark) Next(boot string, up, wall int64) Mark {
	if !m.Before(boot, up) {
		// Nobody knows how long the machine was off, and its clock may not be set yet.
		return mark(boot, up, wall, m.Retention)
	}
	passed := up - m.Up
	switch off := wall - (m.Wall + passed); {
	case off > Slack.Milliseconds() || off < -Slack.Milliseconds():
		return mark(boot, up, wall, m.Retention+passed)
	case passed >= Steady.Milliseconds():
		return mark(boot, up, wall, wall)
	}
	return m
}

// Before reports whether the mark is of an earlier moment of the same boot.
func (m Mark) Before(boot string, up int64) bool { return boot == m.Boot && up >= m.Up }

// Waits reports whether the retention clock is behind the wall clock.
func (m Mark) Waits() bool { return m.Retention < m.Wall }

// Limit is what the retention clock may not exceed when the machine has run for so long. Up to
// there it is the wall clock.
func (m Mark) Limit(up int64) int64 {
	at := m.Retention + up - m.Up
	if !m.Waits() {
		at += Slack.Milliseconds()
	}
	return at
}

// processBoot and processStart stand in for the machine's boot where the system does not tell of
// it.
var (
	processBoot  = rand.Text()
	processStart = time.Now()
)
