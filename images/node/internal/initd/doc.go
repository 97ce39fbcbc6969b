// Package initd keeps the processes of a node running: sandbar-node, containerd and HAProxy. It is what sandbar-init does
// once internal/host has made the machine fit.
//
// One goroutine owns all state and collects all processes (its own wait4 loop: a second collector would lose exit
// statuses). It feeds [machine], which is pure, and carries out what that asks for. Nothing here may import k8s.io.
package initd
