# shellcheck shell=sh
# Checks that are counted, for scripts that source this: how many passed and failed, and which were skipped for what reason.

passed=0
failed=0
skipped=0

# counted NAME COMMAND...: runs it and counts how it went.
counted() {
	check=$1
	shift
	begun=$(date +%s)
	if "$@"; then
		passed=$((passed + 1))
		printf 'ok       %s (%s s)\n' "$check" "$(($(date +%s) - begun))"
	else
		failed=$((failed + 1))
		printf 'failed   %s\n' "$check"
	fi
}

# skip NAME REASON
skip() {
	skipped=$((skipped + 1))
	printf 'skipped  %s: %s\n' "$1" "$2"
}

# Says how it went in all; whether nothing failed.
report() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
}

# says EXPECTED COMMAND...: whether a command succeeds and prints a line that begins so.
says() {
	expected=$1
	shift
	output=$("$@") || return 1
	output=$(printf '%s' "$output" | tr -d '\r')
	case "
$output" in
	*"
$expected"*) ;;
	*)
		printf 'no line begins with: %s\n%s\n' "$expected" "$output"
		return 1
		;;
	esac
}
