# loops for ever before anything is defined
# modes: one
# expect: FAIL timeout
# timeout: 1
while True:
    pass
