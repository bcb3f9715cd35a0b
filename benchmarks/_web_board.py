async def measure_board(*a):
    pass
