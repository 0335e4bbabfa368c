// A Go program that says one line. Its runtime starts threads before main.
package main

import "fmt"

func main() {
	fmt.Println("hello")
}
