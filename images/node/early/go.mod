module early.sandbar.dev/untranslated

go 1.26.6

require k8s.io/kubectl v0.35.2
