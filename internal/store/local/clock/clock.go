// Package clock is the clock of retention: the wall clock, held against how long the machine has
// run, so that a jump of it deletes nothing.
package clock

import (
	"crypto/rand"
	"time"
)

const (
	// Slack is by how much the clocks may disagree: a clock is corrected, slowly or by a leap
	// second.
	Slack = time.Minute
	// Steady is how long the wall clock must run evenly before retention follows where it jumped
	// to.
	Steady = 10 * time.Minute
)

// Mark is a moment on three clocks, in milliseconds. From it on the retention clock runs with the
// machine, until the wall clock has run evenly beside it for ten minutes; then the retention clock
// is set to the wall clock. So a jump deletes nothing that the time that has really passed does
// not.
type Mark struct {
	Boot string // names the run of the machine that Up counts from; empty: no mark
	Up   int64  // since the machine was started, with the time that it slept
	Wall int64  // since the Unix epoch
	// Retention is what retention goes by, since the Unix epoch: Wall, or less while Wall is waited
	// for.
	Retention int64
}

// mark makes a mark at which the retention clock is set to wall if it is not behind it.
func mark(boot string, up, wall, retention int64) Mark {
	if wall <= retention+Slack.Milliseconds() {
		retention = wall
	}
	return Mark{Boot: boot, Up: up, Wall: wall, Retention: retention}
}

// Next returns the mark to go on from: m, or another one when the wall clock left m's line or ran
// along it for long enough.
func (m Mark) Next(boot string, up, wall int64) Mark {
	if !m.Before(boot, up) {
		// How long the machine was off nobody knows, and its clock may have been set by nobody yet.
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

// Before tells whether the mark is of an earlier moment of the same run of the machine.
func (m Mark) Before(boot string, up int64) bool { return boot == m.Boot && up >= m.Up }

// Waits reports whether the retention clock is behind the wall clock.
func (m Mark) Waits() bool { return m.Retention < m.Wall }

// Limit is where the retention clock stands at most when the machine has run for so long: it is the
// wall clock up to there.
func (m Mark) Limit(up int64) int64 {
	at := m.Retention + up - m.Up
	if !m.Waits() {
		at += Slack.Milliseconds()
	}
	return at
}

// processBoot and processStart stand for the run of the machine where the system does not tell of
// it.
var (
	processBoot  = rand.Text()
	processStart = time.Now()
)
