#!/bin/sh
echo cargo "$@"
