//go:build !linux

package mediahttp

import "net"

// send writes all of data. Where MSG_MORE is not known, what follows is in a packet of its own.
func send(tcp *net.TCPConn, data []byte, _ bool) error {
	_, err := tcp.Write(data)
	return err
}
