// Package testlink is a connection that breaks when told to: a TCP proxy on
// loopback between a client and a real server.
package testlink

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Link forwards connections to servers until it is told otherwise.
type Link struct {
	tb testing.TB

	mu     sync.Mutex
	healed chan struct{} // closed while the link is not stalled
	cut    bool
	left   int64 // bytes that servers may still send; negative for any number
	passed int64
	all    map[net.Conn]bool
}

// New makes a link that works. It ends with the test.
func New(tb testing.TB) *Link {
	l := &Link{tb: tb, healed: make(chan struct{}), left: -1, all: map[net.Conn]bool{}}
	close(l.healed)
	tb.Cleanup(l.Cut)
	return l
}

// Address gives an address on loopback that leads to target ("127.0.0.1:80").
func (l *Link) Address(target string) string {
	l.tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.tb.Fatal(err)
	}
	l.tb.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(client, target)
		}
	}()
	return listener.Addr().String()
}

// Cut ends all connections and refuses new ones.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for conn := range l.all {
		_ = conn.Close() // it is to end, however
	}
}

// Stall holds back whatever servers send, on old connections and new ones.
func (l *Link) Stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.healed:
		l.healed = make(chan struct{})
	default: // stalled already
	}
}

// TruncateAfter ends all connections once servers have sent so many bytes more.
func (l *Link) TruncateAfter(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = bytes
}

// Heal makes the link work again. Connections that were ended stay so.
func (l *Link) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.left = false, -1
	select {
	case <-l.healed:
	default:
		close(l.healed)
	}
}

// Passed is how many bytes servers have sent through the link.
func (l *Link) Passed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.passed
}

func (l *Link) carry(client net.Conn, target string) {
	defer func() { _ = client.Close() }()
	if !l.enter(client) {
		return
	}
	defer l.leave(client)
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	if !l.enter(server) {
		return
	}
	defer l.leave(server)
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(&downstream{l, client}, server)
}

func (l *Link) enter(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.cut {
		l.all[conn] = true
	}
	return !l.cut
}

func (l *Link) leave(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, conn)
}

// downstream writes to a client what the link lets through.
type downstream struct {
	link   *Link
	client net.Conn
}

func (d *downstream) Write(p []byte) (int, error) {
	d.link.mu.Lock()
	healed := d.link.healed
	d.link.mu.Unlock()
	<-healed
	n, ended := d.link.take(len(p))
	if _, err := d.client.Write(p[:n]); err != nil {
		return 0, err
	}
	if ended {
		return n, io.ErrClosedPipe
	}
	return n, nil
}

// take tells how many of n bytes may pass, and whether that is the end.
func (l *Link) take(n int) (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ended := l.left >= 0 && int64(n) >= l.left
	if ended {
		n = int(l.left)
	}
	if l.left >= 0 {
		l.left -= int64(n)
	}
	l.passed += int64(n)
	return n, ended
}
