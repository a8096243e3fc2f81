// Command prog is the only program in the image of the e2e tests.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	verb, arg := "", ""
	if len(os.Args) > 1 {
		verb = os.Args[1]
	}
	if len(os.Args) > 2 {
		arg = os.Args[2]
	}
	n, _ := strconv.Atoi(arg)
	switch verb {
	case "exit":
		fmt.Println("exiting with", n)
		os.Exit(n)
	case "cat":
		_, _ = io.Copy(os.Stdout, os.Stdin)
	case "both":
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
	case "spew": // n bytes
		_, _ = os.Stdout.WriteString(strings.Repeat("x", n))
	case "lookup":
		addrs, err := net.LookupHost(arg)
		fmt.Println(addrs, err)
	case "size": // of the terminal, each time it changes, until SIGTERM or 5 s
		sizes()
	case "stubborn": // wait for n seconds after SIGTERM
		serve(time.Duration(n) * time.Second)
	case "crash": // after n milliseconds
		fmt.Println("up")
		time.Sleep(time.Duration(n) * time.Millisecond)
		os.Exit(3)
	default:
		serve(0)
	}
}

func serve(linger time.Duration) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGHUP)
	fmt.Println("up")
	for s := range ch {
		fmt.Println("got", s)
		if s == syscall.SIGTERM {
			time.Sleep(linger)
			return
		}
	}
}

func sizes() {
	var last [4]uint16
	for range 100 {
		var size [4]uint16
		_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
		if size != last {
			fmt.Printf("%dx%d\n", size[1], size[0])
			last = size
		}
		time.Sleep(50 * time.Millisecond)
	}
}
