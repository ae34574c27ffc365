"""A synchronous German-English grammar: a meaning tree is drawn once and put into words twice.

Read in this order: words (what a word is), lexicon (the words), meaning (the tree), german and english (the tree in
words), constraints (what goes together), sampling (drawing trees with dice).
"""
