"""The report objects of a case as a person without a viewer can look at them: HTML, PNG and PDF files in a folder.

Everything is read from the stored objects, as a receiver would read them: what is wrong in an object is seen here.
"""
