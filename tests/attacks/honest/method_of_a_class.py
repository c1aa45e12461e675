# is the class Solution, whose method the test is handed
# entry_point: Solution
class Solution:
    def __init__(self):
        self.seen = {}

    def two_sum(self, nums, target):
        self.seen.clear()
        for place, number in enumerate(nums):
            if target - number in self.seen:
                return [self.seen[target - number], place]
            self.seen[number] = place


# test:
def check(candidate):
    assert candidate(nums=[2, 7, 11, 15], target=9) == [0, 1]
    assert candidate([3, 2, 4], 6) == [1, 2]


check(Solution().two_sum)
