"""Weights that others trained, as a start: conversion of files on disk, their names, source and licence."""
