//go:build !linux

package still

import "syscall"

// attributes returns nothing outside of Linux. There, only the time limit of runs and the list of
// protocols protect the server.
func attributes(bool) *syscall.SysProcAttr { return nil }

func (d *Decoder) trySandbox() isolation { return isolation{} }

func confine(string) error { return nil }

func restrict(int, Limits) error { return nil }
