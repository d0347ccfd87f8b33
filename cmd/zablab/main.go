// Command zablab runs an ensemble on loopback and shows what each server does.
package main

import (
	"os"

	"github.com/zabd/zabd/pkg/lab"
)

func main() { os.Exit(lab.Main(os.Args[1:], os.Stdout, os.Stderr)) }
