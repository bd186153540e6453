"""The process behind the messages.

image       what open bytes carried, a bounded sample of blocks of time; series finds the numbers in it, grid puts them on
            one axis of time
relations   which number accounts for which; residual says by how much one contradicts it, together of all at once
process     what is known of all of them
"""
