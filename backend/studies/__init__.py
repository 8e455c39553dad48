"""The five papers behind Omomi, reproduced small. Each study is a package with `study.study`; see `claims`."""
