package machine

import "testing"

// What Debian's qemu-user-binfmt registers for the same, but for any ABI.
func TestBinaryFormats(t *testing.T) {
	const rest = `\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`
	for i, want := range []string{
		`:qemu-x86_64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00:` + rest + `:/e/qemu-x86_64:POCF`,
		`:qemu-aarch64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:` + rest + `:/e/qemu-aarch64:POCF`,
	} {
		got := formats[i].registration("/e")
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
		// The kernel's limit (MAX_REGISTER_LENGTH of fs/binfmt_misc.c).
		if len(got) > 1920 {
			t.Errorf("the line has %d bytes", len(got))
		}
	}
}
