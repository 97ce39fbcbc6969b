// Package untranslated keeps kubectl from loading translations of its own texts into English, which takes 10 of the 60 ms
// that sandbar-node needs before its main function, and ten times that under emulation.
//
// It has to be initialised before the packages that have such texts. Go initialises packages in the order of their import
// paths as far as what they import allows (since 1.21; the language's specification, Package initialization), so this one
// is a module of its own whose name stands before k8s.io.
package untranslated

import "k8s.io/kubectl/pkg/util/i18n"

func init() {
	if err := i18n.SetLoadTranslationsFunc(func() error { return nil }); err != nil {
		panic(err)
	}
}
