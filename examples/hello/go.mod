module sandbar.dev/examples/hello

go 1.24
