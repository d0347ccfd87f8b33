// Package e2e installs the package on a booted systemd host and runs it there, as an operator would. It holds tests
// only, behind the build tag e2e: they need root, systemd-nspawn and mmdebstrap (make e2e).
package e2e
