"""`charl repl`: definitions, statements and expressions, evaluated as they are typed.

session.py evaluates, names.py completes, terminal.py reads lines from a person, commands.py is what begins with a colon.
"""
