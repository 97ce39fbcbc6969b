package sshd

import (
	"encoding/json"
	"strings"
)

// shell is what runs commands for people.
const shell = "/bin/sh"

// arguments are what the text of an exec request asks to run: a JSON array of strings is a program and its arguments as
// they are; anything else is for the shell, as with every SSH server.
func arguments(text string) []string {
	if strings.HasPrefix(text, "[") {
		var list []string
		if err := json.Unmarshal([]byte(text), &list); err == nil && len(list) > 0 && list[0] != "" {
			return list
		}
	}
	return []string{shell, "-c", text}
}
