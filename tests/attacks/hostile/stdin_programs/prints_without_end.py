# prints without end
# task: add_lines
# expect: FAIL
while True:
    print('3')
