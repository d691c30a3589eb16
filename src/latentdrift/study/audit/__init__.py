"""Does an adapter's loss betray its training patients?"""
