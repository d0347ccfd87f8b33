// Package pkg holds nothing but the house rules, as tests over the packages below it.
package pkg
