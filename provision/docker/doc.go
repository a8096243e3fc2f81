// Package docker is the container engine: the Engine API and the Compose SDK
// behind the interfaces of package provision, and what the commands need of an
// engine besides (logs, a shell, stop, destroy).
//
// It carries out and reports; it does not decide. Which services go up, in
// which order, when to give up and when to go back is its caller's business.
// It never removes a volume, but for RemoveVolume, and never prunes.
package docker
